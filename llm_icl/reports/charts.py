"""What all figures share."""

# Okabe & Ito's colours (told apart by colour-blind readers, and in light and dark), then others of the same kind.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#999999",
    "#A6761D", "#66A61E", "#E7298A", "#1B9E77", "#7570B3", "#B3DE69", "#FB8072", "#80B1D3", "#BC80BD", "#8DD3C7",
    "#B15928", "#525252", "#F781BF", "#CAB2D6",
)  # fmt: skip
