"""HTTP front doors (aiohttp)."""
