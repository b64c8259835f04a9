"""How an environment is made to work: planned (pure), locked, applied."""
