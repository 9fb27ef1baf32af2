"""The face-age data of the competition: read as published, or drawn in the same layout."""
