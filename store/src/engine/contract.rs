//! What every engine must do, as one suite that each implementation runs.

use bytes::Bytes;

use super::{Column, Cursor, Direction, Durability, Engine, Reader, Span, WriteBatch};

/// Runs the whole suite on an empty engine that has `columns`.
pub fn check<E: Engine>(engine: &E, columns: &[Column]) {
    for &column in columns {
        gets_what_was_put(engine, column);
        scans_in_byte_order_within_bounds(engine, column);
        seeks_forward_only(engine, column);
        range_deletes_keep_the_end(engine, column);
    }
    if let [first, second, ..] = *columns {
        batches_are_atomic_over_columns_and_invisible_to_older_snapshots(engine, first, second);
    }
}

/// Checks that contents can be copied and replaced. For engines that hold a state.
pub fn check_replacement(engine: &impl Engine) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    let column = Column::Live;
    clear(engine, column);
    write(engine, |batch| batch.put(column, "kept", "1"));
    engine.checkpoint(&copy).unwrap();
    let read = |key: &str| engine.read_checkpoint(&copy, column, key.as_bytes()).unwrap();
    assert_eq!((read("kept"), read("later")), (Some("1".into()), None));

    write(engine, |batch| batch.put(column, "later", "1"));
    let older = engine.snapshot();
    engine.replace(&copy).unwrap();
    assert!(older.get(column, b"later").unwrap().is_some(), "readers keep what they see");
    drop(older);
    assert_eq!(keys(engine, column, &Span::all(), Direction::Forward), ["kept"]);
    write(engine, |batch| batch.put(column, "newer", "1"));
    assert_eq!(keys(engine, column, &Span::all(), Direction::Forward), ["kept", "newer"]);
    assert!(!copy.exists(), "the copy is used up");
}

fn write(engine: &impl Engine, change: impl FnOnce(&mut WriteBatch)) {
    let mut batch = WriteBatch::new();
    change(&mut batch);
    engine.write(&batch, Durability::Buffered).unwrap();
}

fn clear(engine: &impl Engine, column: Column) {
    let keys: Vec<Bytes> = keys(engine, column, &Span::all(), Direction::Forward);
    write(engine, |batch| keys.into_iter().for_each(|key| batch.delete(column, key)));
}

fn keys(engine: &impl Engine, column: Column, span: &Span, direction: Direction) -> Vec<Bytes> {
    let snapshot = engine.snapshot();
    let mut cursor = snapshot.scan(column, span, direction).unwrap();
    let mut keys = Vec::new();
    while let Some((key, _)) = cursor.entry() {
        keys.push(Bytes::copy_from_slice(key));
        cursor.advance().unwrap();
    }
    keys
}

fn gets_what_was_put(engine: &impl Engine, column: Column) {
    write(engine, |batch| {
        batch.put(column, "k", "old");
        batch.put(column, "k", "new");
        batch.put(column, "gone", "x");
        batch.delete(column, "gone");
        batch.put(column, "empty", "");
    });
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.get(column, b"k").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(snapshot.get(column, b"gone").unwrap(), None);
    assert_eq!(snapshot.get(column, b"empty").unwrap().as_deref(), Some(&b""[..]));
    drop(snapshot);
    clear(engine, column);
}

fn scans_in_byte_order_within_bounds(engine: &impl Engine, column: Column) {
    let all: [&[u8]; 6] = [b"\0", b"a", b"a\0", b"a\xff", b"b", b"\xff\xff"];
    write(engine, |batch| all.iter().rev().for_each(|key| batch.put(column, Bytes::copy_from_slice(key), "v")));
    let cases: [(Span, &[&[u8]]); 7] = [
        (Span::all(), &all),
        (Span::point(b"a"), &all[1..2]),
        (Span::prefix(b"a"), &all[1..4]),
        (Span::prefix(b"\xff"), &all[5..]),
        (Span::between("a\0", "b"), &all[2..4]),
        (Span::between("b", "a"), &[]),
        (Span { start: "b".into(), end: None }, &all[4..]),
    ];
    for (span, expected) in cases {
        assert_eq!(keys(engine, column, &span, Direction::Forward), expected, "{span:?}");
        let reversed: Vec<&[u8]> = expected.iter().rev().copied().collect();
        assert_eq!(keys(engine, column, &span, Direction::Reverse), reversed, "{span:?}");
    }
    clear(engine, column);
}

fn seeks_forward_only(engine: &impl Engine, column: Column) {
    write(engine, |batch| ["a", "c", "e", "g"].into_iter().for_each(|key| batch.put(column, key, key)));
    let snapshot = engine.snapshot();
    let mut cursor = snapshot.scan(column, &Span::between("a", "g"), Direction::Forward).unwrap();
    cursor.seek(b"d").unwrap();
    assert_eq!(cursor.entry(), Some((&b"e"[..], &b"e"[..])));
    cursor.seek(b"b").unwrap();
    assert_eq!(cursor.entry(), Some((&b"e"[..], &b"e"[..])), "never backward");
    cursor.seek(b"f").unwrap();
    assert_eq!(cursor.entry(), None, "the bound holds for seeks too");
    drop(cursor);
    drop(snapshot);
    clear(engine, column);
}

fn range_deletes_keep_the_end(engine: &impl Engine, column: Column) {
    write(engine, |batch| ["a", "b", "c", "d"].into_iter().for_each(|key| batch.put(column, key, key)));
    write(engine, |batch| {
        batch.delete_range(column, "b", "d");
        batch.put(column, "c", "again");
        batch.delete_range(column, "z", "a");
    });
    assert_eq!(keys(engine, column, &Span::all(), Direction::Forward), ["a", "c", "d"]);
    clear(engine, column);
}

fn batches_are_atomic_over_columns_and_invisible_to_older_snapshots(engine: &impl Engine, one: Column, two: Column) {
    let before = engine.snapshot();
    write(engine, |batch| {
        batch.put(one, "k", "1");
        batch.put(two, "k", "2");
    });
    assert_eq!(before.get(one, b"k").unwrap(), None);
    assert!(before.scan(two, &Span::all(), Direction::Forward).unwrap().entry().is_none());
    drop(before);
    let after = engine.snapshot();
    assert_eq!(after.get(one, b"k").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(after.get(two, b"k").unwrap().as_deref(), Some(&b"2"[..]));
    drop(after);
    clear(engine, one);
    clear(engine, two);
}
