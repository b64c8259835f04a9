"""`xcompat fix`: what the commands do one by one, in one go, with a way back."""
