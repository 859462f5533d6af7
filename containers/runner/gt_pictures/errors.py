"""What can be wrong with an image file."""


class PictureError(Exception):
    """A file that is no image of ours; the message says in what way, and does not name the file."""
