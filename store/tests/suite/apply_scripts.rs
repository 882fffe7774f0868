//! Conversations with the apply core, in `testdata/apply/`.
//!
//! ```text
//! put KEY VALUE [lease=N] [prev] [ignore_value] [ignore_lease]      del KEY [END] [prev]
//! get KEY [END] [rev=N] [limit=N] [keys] [count] [order=asc|desc] [by=key|version|create|mod|value]
//!         [min_mod=N] [max_mod=N] [min_create=N] [max_create=N]
//! txn (TARGET KEY OP VALUE [END])... then (put|del|get|txn ...)... else (...)...
//! compact N      prune      history FROM      grant ID      revoke ID      alarm nospace|corrupt on|off      status
//! ```
//!
//! `\xNN` and `\0` in a word stand for bytes, and an END of `\0` for every later key.

use std::sync::Arc;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::response_op::Response as OpResponse;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};
use pintle_store::apply::{Command, Response, apply};
use pintle_store::engine::memory::MemoryEngine;
use pintle_store::engine::{Column, Cursor, Direction, Engine, Reader, Span};
use pintle_store::error::{Result, StoreError};
use pintle_store::limits::MAX_TXN_OPS;
use pintle_store::mvcc::{Mvcc, check, txn};

use crate::golden;

#[test]
fn commands_come_to_what_is_written() {
    golden::run("apply", Stage::new, |stage, command| {
        stage.run(&Words::parse(command)).unwrap_or_else(|error| format!("error: {error}"))
    });
}

/// A command as nested lists of words.
#[derive(Debug)]
enum Word {
    Text(String),
    List(Words),
}

#[derive(Debug)]
struct Words(Vec<Word>);

impl Words {
    fn parse(text: &str) -> Self {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_whitespace();
        Self::read(&mut words)
    }

    fn read<'a>(words: &mut impl Iterator<Item = &'a str>) -> Self {
        let mut list = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "(" => list.push(Word::List(Self::read(words))),
                ")" => break,
                text => list.push(Word::Text(text.to_owned())),
            }
        }
        Self(list)
    }

    /// The `n`th word.
    fn text(&self, n: usize) -> &str {
        match self.0.get(n) {
            Some(Word::Text(text)) => text,
            other => panic!("no word {n}: {other:?} in {self:?}"),
        }
    }

    fn number(&self, n: usize) -> i64 {
        self.text(n).parse().unwrap()
    }

    fn bytes(&self, n: usize) -> Bytes {
        unescape(self.text(n))
    }

    fn options(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|word| if let Word::Text(text) = word { Some(text.as_str()) } else { None }).skip(2)
    }

    fn has(&self, flag: &str) -> bool {
        self.options().any(|word| word == flag)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn option_number(&self, name: &str) -> i64 {
        self.option(name).map_or(0, |text| text.parse().unwrap())
    }

    /// The word after the key, unless it is an option.
    fn range_end(&self, flags: &[&str]) -> Bytes {
        match self.0.get(2) {
            Some(Word::Text(text)) if !text.contains('=') && !flags.contains(&text.as_str()) => unescape(text),
            _ => Bytes::new(),
        }
    }

    /// The lists between the word `from` (or the beginning) and the word `to` (or the end).
    fn lists(&self, from: Option<&str>, to: Option<&str>) -> Vec<&Words> {
        let mut inside = from.is_none();
        let mut lists = Vec::new();
        for word in &self.0 {
            match word {
                Word::Text(text) if Some(text.as_str()) == to => break,
                Word::Text(text) => inside |= Some(text.as_str()) == from,
                Word::List(list) if inside => lists.push(list),
                Word::List(_) => {}
            }
        }
        lists
    }

    fn put(&self) -> pb::PutRequest {
        let ignore_value = self.has("ignore_value");
        pb::PutRequest {
            key: self.bytes(1),
            value: if ignore_value { Bytes::new() } else { self.bytes(2) },
            lease: self.option_number("lease"),
            prev_kv: self.has("prev"),
            ignore_value,
            ignore_lease: self.has("ignore_lease"),
        }
    }

    fn delete(&self) -> pb::DeleteRangeRequest {
        pb::DeleteRangeRequest { key: self.bytes(1), range_end: self.range_end(&["prev"]), prev_kv: self.has("prev") }
    }

    fn range(&self) -> pb::RangeRequest {
        let order = match self.option("order") {
            None => SortOrder::None,
            Some("asc") => SortOrder::Ascend,
            Some("desc") => SortOrder::Descend,
            Some(other) => panic!("order {other}"),
        };
        let target = self.option("by").unwrap_or("key").to_uppercase();
        pb::RangeRequest {
            key: self.bytes(1),
            range_end: self.range_end(&["keys", "count"]),
            revision: self.option_number("rev"),
            limit: self.option_number("limit"),
            keys_only: self.has("keys"),
            count_only: self.has("count"),
            sort_order: order.into(),
            sort_target: SortTarget::from_str_name(&target).unwrap().into(),
            min_mod_revision: self.option_number("min_mod"),
            max_mod_revision: self.option_number("max_mod"),
            min_create_revision: self.option_number("min_create"),
            max_create_revision: self.option_number("max_create"),
            ..Default::default()
        }
    }

    fn compare(&self) -> pb::Compare {
        let target = CompareTarget::from_str_name(&self.text(0).to_uppercase()).unwrap();
        let result = match self.text(2) {
            "=" => CompareResult::Equal,
            "!=" => CompareResult::NotEqual,
            ">" => CompareResult::Greater,
            "<" => CompareResult::Less,
            other => panic!("comparison {other}"),
        };
        let union = match target {
            CompareTarget::Value => TargetUnion::Value(self.bytes(3)),
            CompareTarget::Version => TargetUnion::Version(self.number(3)),
            CompareTarget::Create => TargetUnion::CreateRevision(self.number(3)),
            CompareTarget::Mod => TargetUnion::ModRevision(self.number(3)),
            CompareTarget::Lease => TargetUnion::Lease(self.number(3)),
        };
        let range_end = if self.0.len() > 4 { self.bytes(4) } else { Bytes::new() };
        pb::Compare {
            key: self.bytes(1),
            range_end,
            result: result.into(),
            target: target.into(),
            target_union: Some(union),
        }
    }

    fn txn(&self) -> pb::TxnRequest {
        let ops = |lists: Vec<&Words>| lists.into_iter().map(Words::op).collect();
        pb::TxnRequest {
            compare: self.lists(None, Some("then")).into_iter().map(Words::compare).collect(),
            success: ops(self.lists(Some("then"), Some("else"))),
            failure: ops(self.lists(Some("else"), None)),
        }
    }

    fn op(&self) -> pb::RequestOp {
        let request = match self.text(0) {
            "put" => Request::RequestPut(self.put()),
            "del" => Request::RequestDeleteRange(self.delete()),
            "get" => Request::RequestRange(self.range()),
            "txn" => Request::RequestTxn(self.txn()),
            other => panic!("operation {other}"),
        };
        pb::RequestOp { request: Some(request) }
    }
}

fn unescape(text: &str) -> Bytes {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match rest {
            [b'\\', b'0', after @ ..] => {
                out.push(0);
                rest = after;
            }
            [b'\\', b'x', high, low, after @ ..] => {
                out.push(u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out.into()
}

/// A store that scripts are played on.
struct Stage {
    mvcc: Mvcc<MemoryEngine>,
}

impl Stage {
    fn new() -> Self {
        Self { mvcc: Mvcc::open(Arc::new(MemoryEngine::new())).unwrap() }
    }

    fn run(&self, words: &Words) -> Result<String> {
        match words.text(0) {
            "get" => {
                let request = words.range();
                check::range(&request)?;
                Ok(range_text(&self.mvcc.view()?.range(&request)?, 0))
            }
            "put" => {
                let request = words.put();
                check::put(&request)?;
                self.apply(&Command::Put(request))
            }
            "del" => {
                let request = words.delete();
                check::delete_range(&request)?;
                self.apply(&Command::DeleteRange(request))
            }
            "txn" => {
                let request = words.txn();
                check::txn(&request, MAX_TXN_OPS)?;
                if txn::is_read_only(&request) {
                    return Ok(txn_text(&self.mvcc.view()?.txn(&request)?, 0));
                }
                self.apply(&Command::Txn(request))
            }
            "compact" => {
                self.apply(&Command::Compact(pb::CompactionRequest { revision: words.number(1), physical: false }))
            }
            "grant" => self.apply(&Command::LeaseGrant(pb::LeaseGrantRequest { id: words.number(1), ttl: 60 })),
            "revoke" => self.apply(&Command::LeaseRevoke(pb::LeaseRevokeRequest { id: words.number(1) })),
            "alarm" => {
                use pb::alarm_request::AlarmAction;
                let alarm = pb::AlarmType::from_str_name(&words.text(1).to_uppercase()).unwrap().into();
                let action = if words.text(2) == "on" { AlarmAction::Activate } else { AlarmAction::Deactivate };
                self.apply(&Command::Alarm(pb::AlarmRequest { action: action.into(), member_id: 1, alarm }))
            }
            "prune" => {
                while !self.mvcc.prune(1)?.complete {}
                Ok(format!("history: {}\n", self.kept()?))
            }
            "history" => {
                let replay = self.mvcc.view()?.history(words.number(1), usize::MAX, true, |_| true)?;
                Ok(replay.events.iter().map(event_text).collect())
            }
            "status" => {
                let view = self.mvcc.view()?;
                let head = view.head();
                let (all, used) = (head.logical_bytes(), head.logical_bytes_in_use());
                Ok(format!("revision {}, compacted {}, {all} bytes, {used} in use\n", head.revision, head.compacted))
            }
            other => panic!("command {other}"),
        }
    }

    fn apply(&self, command: &Command) -> Result<String> {
        let outcome = self.mvcc.write(|writer| apply(writer, &command.clone().into()), |_| {})?;
        let mut text = match outcome.reply? {
            Response::Put(response) => put_text(&response, 0),
            Response::DeleteRange(response) => delete_text(&response, 0),
            Response::Txn(response) => txn_text(&response, 0),
            Response::Compact(_) | Response::LeaseGrant(_) | Response::LeaseRevoke(_) | Response::Alarm(_) => {
                format!("ok at {}\n", outcome.revision)
            }
            Response::LeaseCheckpoint(_) | Response::Auth(_) | Response::Downgrade(_) => String::new(),
        };
        text.extend(outcome.events.iter().map(event_text));
        Ok(text)
    }

    /// The revisions that the engine holds changes of.
    fn kept(&self) -> Result<String> {
        let snapshot = self.mvcc.engine().snapshot();
        let mut cursor = snapshot.scan(Column::History, &Span::all(), Direction::Forward)?;
        let mut revisions = Vec::new();
        while let Some((key, _)) = cursor.entry() {
            let revision = pintle_store::engine::schema::parse_history_key(key)?;
            revisions.push(format!("{}.{}", revision.main, revision.sub));
            cursor.advance().map_err(StoreError::from)?;
        }
        Ok(revisions.join(" "))
    }
}

fn at(header: Option<&pb::ResponseHeader>) -> String {
    header.map_or_else(String::new, |header| format!(" at {}", header.revision))
}

fn key_value_text(kv: &KeyValue) -> String {
    let lease = if kv.lease == 0 { String::new() } else { format!(", lease {}", kv.lease) };
    let (create, modified, version) = (kv.create_revision, kv.mod_revision, kv.version);
    format!(
        "{} = {} (create {create}, mod {modified}, version {version}{lease})",
        kv.key.escape_ascii(),
        kv.value.escape_ascii()
    )
}

fn event_text(event: &Event) -> String {
    let kv = event.kv.clone().unwrap_or_default();
    let now = if event.r#type == i32::from(EventType::Delete) {
        format!("{} deleted at {}", kv.key.escape_ascii(), kv.mod_revision)
    } else {
        key_value_text(&kv)
    };
    let before = event.prev_kv.as_ref().map(|kv| format!(", was {}", kv.value.escape_ascii())).unwrap_or_default();
    format!("event: {now}{before}\n")
}

fn lines(kvs: &[KeyValue], depth: usize) -> String {
    let depth = depth + 2;
    kvs.iter().map(|kv| format!("{:depth$}{}\n", "", key_value_text(kv))).collect::<Vec<_>>().concat()
}

fn range_text(response: &pb::RangeResponse, depth: usize) -> String {
    let more = if response.more { ", more" } else { "" };
    format!("{:depth$}{} found{}{more}\n", "", response.count, at(response.header.as_ref()))
        + &lines(&response.kvs, depth)
}

fn put_text(response: &pb::PutResponse, depth: usize) -> String {
    format!("{:depth$}put{}\n", "", at(response.header.as_ref())) + &lines(response.prev_kv.as_slice(), depth)
}

fn delete_text(response: &pb::DeleteRangeResponse, depth: usize) -> String {
    format!("{:depth$}{} deleted{}\n", "", response.deleted, at(response.header.as_ref()))
        + &lines(&response.prev_kvs, depth)
}

fn txn_text(response: &pb::TxnResponse, depth: usize) -> String {
    let branch = if response.succeeded { "then" } else { "else" };
    let mut text = format!("{:depth$}{branch}{}\n", "", at(response.header.as_ref()));
    for op in &response.responses {
        text += &match &op.response {
            Some(OpResponse::ResponseRange(response)) => range_text(response, depth + 2),
            Some(OpResponse::ResponsePut(response)) => put_text(response, depth + 2),
            Some(OpResponse::ResponseDeleteRange(response)) => delete_text(response, depth + 2),
            Some(OpResponse::ResponseTxn(response)) => txn_text(response, depth + 2),
            None => String::new(),
        };
    }
    text
}
