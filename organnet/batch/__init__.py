"""Many CTs in, contours out: no case can stop the others, and what is done is not done again.

The process that the user started reads no image: it lists the inputs, hands one after another to a
worker, and keeps the books. The worker may die; the books may not be half-written.
"""
