"""On-chain metrics and funding rates for MNPU, joined by the moment each value became known."""
