"""Records: their schema, the folder that keeps them, and pandas frames of them."""
