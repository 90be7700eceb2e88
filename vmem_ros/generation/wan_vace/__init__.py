"""The engine ``wan-vace``: Wan 2.1 VACE as diffusers has it, told by video and mask what memory shows of a path."""
