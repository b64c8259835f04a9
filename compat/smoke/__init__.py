"""Speaking in an environment, and judging what is heard."""
