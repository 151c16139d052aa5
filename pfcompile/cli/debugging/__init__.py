"""What `pfcompile debug` needs besides the debugger.

::

    subject  an expression or a program, made ready to be stepped
"""
