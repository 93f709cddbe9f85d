"""Who waits for a call, with and without asyncio: signals, other threads, cancelled calls, forks."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from shared import bars, decision, tick

import minutebook
from minutebook import aio

pa = pytest.importorskip("pyarrow")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("what", "read"), [("SIGINT", "rows.to_arrow()"), ("SIGALRM", "rows.to_pandas()")])
def test_one_long_read_is_interrupted_in_its_middle(book, read, what):
    """Not at its end: what was skipped is told once all was read, and is not told then."""
    book.ticks.write("BTCUSD@ticks", bars(2))
    with open(os.path.join(book.path, "ticks/btcusd_timeseries.jsonl"), "a") as file:
        file.write("malformed\n" + '{"timestamp": "2025-01-01T00:00:00Z", "price": 1.5}\n' * 1_000_000)
    program = f"""
import os, signal, threading
import minutebook
class Late(Exception):
    pass
def late(*_):
    raise Late
signal.signal(signal.SIGALRM, late)
book = minutebook.open({str(book.path)!r})
# What is imported on the way; and one row a batch, so that there are enough of them.
book.ticks.scan("BTCUSD@ticks", first=1).to_pandas()
rows = book.ticks.scan("BTCUSD@ticks", batch_size=1)
threading.Timer(0.05, os.kill, (os.getpid(), signal.{what})).start()
try:
    {read}
except (KeyboardInterrupt, Late) as error:
    print(type(error).__name__, rows.problems, flush=True)
"""
    process = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=100)
    assert process.stdout == ("KeyboardInterrupt" if what == "SIGINT" else "Late") + " []\n"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("what", [
    "next(book.ticks.follow('BTCUSD@ticks'))",
    "next(book.decisions.watch())",
    "for _ in range(10_000): book.series.scan_merged(['A@1m', 'A@1m']).to_arrow()",
    "for _ in range(10_000): book.series.scan('A@1m').to_arrow()",
])
def test_ctrl_c_is_heard_while_it_waits_and_while_it_works(book, what):
    book.series.write("A@1m", bars(5_000, minutes=1))
    program = f"""
import minutebook, signal, sys
# Nobody may be left to end it.
signal.alarm(120)
book = minutebook.open({str(book.path)!r})
# What is imported on the way, so that the signal does not come while it is.
book.series.scan("A@1m").to_arrow()
print("ready", flush=True)
try:
    {what}
except KeyboardInterrupt:
    print("heard", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "heard\n"
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


def test_the_interpreter_is_free_while_a_call_waits(book):
    feed = book.ticks.follow("BTCUSD@ticks")
    taken = []
    waiter = threading.Thread(target=lambda: taken.append(next(feed)), daemon=True)
    waiter.start()
    # Were the lock held, nothing below would run.
    for i in range(50):
        book.decisions.save(decision(i % 28 + 1, n=i))
    with book.ticks.appender() as appender:
        for _ in range(1_000):
            appender.append("BTCUSD@ticks", tick(3))
            waiter.join(0.05)
            if not waiter.is_alive():
                break
    assert taken[0].value == tick(3)


def test_all_of_it_can_be_awaited(tmp_path):
    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        await book.documents.save("a", 1)
        assert (await book.documents.get("a")).value == 1
        assert (await book.verify()).is_clean
        await book.series.write("A@1h", bars())
        assert len(await book.series.versions("A@1h")) == 1
        assert [span.state for span in await book.series.coverage("A@1h")] == ["data"]
        feed = book.ticks.follow("BTCUSD@ticks", start=True)
        async with book.ticks.appender() as appender:
            await appender.push("BTCUSD@ticks", tick(1))
        async for entry in feed:
            assert entry.value == tick(1)
            break
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(feed), 0.2)
        with pytest.raises(TypeError):
            iter(feed)
        await book.decisions.save(decision(1))
        assert await book.decisions.count_by("pair") == [("BTCUSD", 1)]
        assert len(await book.decisions.plan_retention(newest=0)) == 1

    asyncio.run(main())


def test_who_stops_waiting_for_an_entry_leaves_it_to_the_next_call(tmp_path):
    """Timeouts of every length, while entries come: each comes once, in order."""
    count = 300

    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        feed = book.ticks.follow("BTCUSD@ticks", start=True)
        found, waits = [], 0

        async def push():
            async with book.ticks.appender() as appender:
                for i in range(count):
                    await appender.push("BTCUSD@ticks", {**tick(1), "n": i})
                    if i % 10 == 0:
                        await asyncio.sleep(0.002)

        pushing = asyncio.create_task(push())
        while len(found) < count:
            waits += 1
            assert waits < 100_000
            try:
                found.append((await asyncio.wait_for(anext(feed), waits % 7 * 0.000_2)).value["n"])
            except asyncio.TimeoutError:
                pass
        await pushing
        assert found == list(range(count)) and waits > count

    asyncio.run(main())


def test_rows_that_were_on_their_way_to_who_stopped_waiting_go_to_the_next_reader(tmp_path):
    """An `async for` that is given up at any moment, and Arrow after it: each row comes once."""
    count = 2_000

    async def rest(book, pause, before):
        rows = await book.series.scan("A@1m", batch_size=100)
        found = [(await anext(rows)) for _ in range(before)]
        waiting = asyncio.create_task(anext(rows))
        await asyncio.sleep(0)
        # The loop is held: what comes meanwhile is delivered to nobody.
        time.sleep(pause)
        waiting.cancel()
        try:
            found.append(await waiting)
        except asyncio.CancelledError:
            pass
        closes = [value for batch in found for value in pa.record_batch(batch)["close"].to_pylist()]
        closes += rows.to_arrow()["close"].to_pylist()
        assert closes == [100.0 + i for i in range(count)], (pause, before)
        with pytest.raises(RuntimeError, match="read already"):
            rows.to_arrow()

    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        await book.series.write("A@1m", bars(count, minutes=1))
        for before in (0, 1, 7, 19):
            for pause in (0, 0.000_1, 0.000_5, 0.002, 0.05):
                await rest(book, pause, before)
        rows = await book.series.scan("A@1m", batch_size=100)
        first, second = await asyncio.gather(anext(rows), anext(rows))
        assert len(first) == len(second) == 100 and rows.to_arrow().num_rows == count - 200

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_opened_before_a_fork_says_so_and_lets_go(book):
    appender = book.ticks.appender()
    appender.push("BTCUSD@ticks", tick(1))
    appender.flush()
    feed, changes, rows = book.ticks.follow("BTCUSD@ticks", start=True), book.decisions.watch(), book.ticks.scan("BTCUSD@ticks")
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        refused = 0
        for call in (lambda: appender.push("BTCUSD@ticks", tick(2)), appender.take_unwritten, lambda: appender.accepted,
                     lambda: next(feed), lambda: next(changes), lambda: next(rows), lambda: pa.table(rows), book.decisions.watch):
            try:
                call()
            except RuntimeError as error:
                refused += "forked" in str(error)
        # A handle that nobody holds any more waits for no thread.
        del appender
        os._exit(100 + refused)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 108
    assert next(feed).value == tick(1)
    appender.close()
