"""How a call of the native part ends in a loop of asyncio."""


def settle(future, value, error):
    """Gives the awaitable its value or its error, unless it was cancelled."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def deliver(give):
    """The next item of a feed. Whoever stops waiting for it leaves it to the next call."""
    call = give()
    try:
        item, receipt = await call
    except BaseException:
        if call.done() and not call.cancelled() and call.exception() is None:
            call.result()[1].left()
        raise
    receipt.taken()
    return item
