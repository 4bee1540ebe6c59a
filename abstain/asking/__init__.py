"""How a classifier is asked, also about data that it has not seen."""
