"""How results are shown: text for people (rich), JSON for machines."""
