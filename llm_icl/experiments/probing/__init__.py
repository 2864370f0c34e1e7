"""Score attention heads: induction and nearest neighbour."""

KIND = "probe"
HEADS = "heads.parquet"
