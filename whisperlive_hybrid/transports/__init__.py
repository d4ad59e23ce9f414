"""Front doors: each translates between one wire format and the rooms below."""
