"""The web pages, served as they are: no build step, no outside assets."""
