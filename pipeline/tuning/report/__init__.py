"""The pages of a sweep: `pages` writes them, `figures` draws, `words` and `tables` tell, `scales` and `drawing` serve them."""
