"""Pre-training: what a backbone can learn of the windows themselves, before it is shown a label.

`masked` rebuilds hidden stretches, `contrastive` tells windows apart; `run` is the loop that both share.
"""
