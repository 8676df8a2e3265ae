"""Networks: backbones that summarise a window, heads that turn the summary into a distribution."""
