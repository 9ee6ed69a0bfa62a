"""Line formats, one file each. A container format wraps lines (`split`), a line format reads one (`parse`).

`split` takes a raw line to `Wrapped`, `parse` takes the bytes inside to a `Line`; both give None when the line is not in
their format, and never raise, whatever the bytes.
"""
