"""What the Python client etcd3gw (JSON gateway) does, against the server whose host and port are given."""
import sys

import etcd3gw


def main(host, port):
    client = etcd3gw.client(host=host, port=int(port), timeout=30)
    assert client.status()['version'].startswith('3.')
    assert len(client.members()) == 1
    assert client.create('a', '1') and not client.create('a', '2')
    assert client.replace('a', '1', '2')
    (value, metadata), = client.get('a', metadata=True)
    assert value == b'2' and metadata['version'] == '2', metadata
    for number in range(5):
        client.put('p/%d' % number, 'value %d' % number)
    pairs = [(metadata['key'], value) for value, metadata in client.get_prefix('p/', sort_order='descend')]
    assert pairs == [(b'p/%d' % number, b'value %d' % number) for number in (4, 3, 2, 1, 0)], pairs

    events, cancel = client.watch_prefix('p/', start_revision=int(metadata['mod_revision']))
    seen = [next(events)['kv']['value'] for _ in range(5)]
    cancel()
    assert seen == [b'value %d' % number for number in range(5)], seen

    lease = client.lease(ttl=60)
    client.put('leased', '1', lease)
    assert lease.ttl() > 0 and lease.keys() == [b'leased'], lease.keys()
    assert lease.refresh() == 60
    lease.revoke()
    assert client.get('leased') == []

    with client.lock('a lock', ttl=60) as lock:
        assert lock.is_acquired()
    assert client.delete_prefix('p/')
    assert client.get_prefix('p/') == []


main(*sys.argv[1:])
