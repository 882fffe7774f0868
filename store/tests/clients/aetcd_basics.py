"""What the Python client aetcd (gRPC) does, against the server whose host and port are given."""
import asyncio
import sys

import aetcd


async def main(host, port):
    async with aetcd.Client(host=host, port=int(port), timeout=30) as client:
        put = await client.put(b'a', b'1')
        assert (await client.get(b'a')).value == b'1'
        assert await client.get(b'missing') is None
        assert (await client.put(b'a', b'2', prev_kv=True)).prev_kv.value == b'1'
        assert await client.replace(b'a', b'2', b'3')
        assert not await client.replace(b'a', b'2', b'4')
        for number in range(5):
            await client.put(b'p/%d' % number, b'%d' % number)
        pairs = [(pair.key, pair.value) for pair in await client.get_prefix(b'p/', sort_order='descend')]
        assert pairs == [(b'p/%d' % number, b'%d' % number) for number in (4, 3, 2, 1, 0)], pairs

        txn = aetcd.transactions
        succeeded, responses = await client.transaction(
            compare=[txn.Value(b'a') == b'3', txn.Version(b'a') > 0],
            success=[txn.Put(b'b', b'x'), txn.Get(b'b'), txn.Delete(b'p/0')],
            failure=[txn.Put(b'b', b'y')],
        )
        assert succeeded and responses[1][0][0] == b'x', responses

        events = []
        watch = await client.watch_prefix(b'a', start_revision=put.header.revision)
        async for event in watch:
            events.append(event.kv.value)
            if len(events) == 3:
                break
        await watch.cancel()
        assert events == [b'1', b'2', b'3'], events

        lease = await client.lease(60)
        await client.put(b'leased', b'1', lease=lease)
        assert (await client.get_lease_info(lease.id)).keys == [b'leased']
        await lease.refresh()
        await lease.revoke()
        assert await client.get(b'leased') is None

        lock = client.lock(b'lock', ttl=60)
        assert await lock.acquire()
        assert await lock.is_acquired()
        await lock.release()

        assert (await client.delete_prefix(b'p/')).deleted == 4
        assert await client.delete(b'a', prev_kv=True)
        status = await client.status()
        assert status.version.startswith('3.'), status.version
        assert len([member async for member in client.members()]) == 1
        await client.compact(put.header.revision + 1)


asyncio.run(main(*sys.argv[1:]))
