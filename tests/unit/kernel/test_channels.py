"""Channels: bounded, counted, closed by their sender."""

import pytest
import trio

from appliance.kernel.channels import Channel, Channels, ChannelStatistics, WhenFull


async def test_what_goes_in_comes_out_in_order_and_is_counted():
    """in = out + waiting."""
    channel = Channel("c", 10)
    for number in range(5):
        await channel.send(number)

    taken = [await channel.receive(), *channel.receive_waiting(2)]

    assert taken == [0, 1, 2]
    assert ChannelStatistics("c", 10, 2, 5, 3, 0) == channel.statistics()


async def test_closing_the_sending_end_is_the_end_of_the_stream():
    """Receivers get what is left first."""
    channel = Channel("c", 10)
    await channel.send(1)
    channel.close()

    assert [item async for item in channel] == [1]
    with pytest.raises(trio.EndOfChannel):
        await channel.receive()


async def test_a_full_channel_blocks_its_sender():
    """The default: pressure goes back."""
    channel = Channel("c", 1)
    await channel.send(1)

    with trio.move_on_after(0) as scope:
        await channel.send(2)

    assert scope.cancelled_caught
    assert channel.statistics().in_total == 1


async def test_a_dropping_channel_counts_what_it_refuses():
    """Nothing is dropped silently."""
    channel = Channel("c", 1, WhenFull.DROP_NEWEST)

    assert [await channel.send(1), await channel.send(2)] == [True, False]
    assert channel.statistics().dropped_total == 1


async def test_every_opened_channel_is_in_the_samples():
    """No code at the call site."""
    channels = Channels()
    await channels.open("rules", int, 5).send(1)

    samples = {sample.name: sample.value for sample in channels.samples()}

    assert samples["appliance_channel_items_in_total"] == 1.0
    assert samples["appliance_channel_capacity_items"] == 5.0
