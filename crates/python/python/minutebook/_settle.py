"""How a call of the native part ends in a loop of asyncio."""


def settle(future, value, error):
    """Gives the awaitable its value or its error, unless it was cancelled."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
