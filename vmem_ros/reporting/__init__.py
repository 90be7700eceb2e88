"""What leaves the program: files, tables, plots, image grids, point clouds and recordings."""
