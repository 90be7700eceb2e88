"""A planner of the next best view, as an example of what imagining paths is for, and what it is compared with."""
