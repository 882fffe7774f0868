//! The rules as [`Column::Auth`] holds them: users and roles are etcd's own messages, so that a snapshot of etcd's is
//! taken over and made by copying.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use imbl::ordmap::DiffItem;
use pintle_proto::authpb;
use prost::Message;

use super::rules::{Rules, User};
use crate::engine::schema::auth::{self, Record};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};

impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl Rules {
    /// Reads the rules of a store; a fresh one has the default.
    pub fn load(reader: &impl Reader) -> Result<Self> {
        let malformed = |_| StoreError::CorruptData("auth record is malformed");
        let nameless = |_| StoreError::CorruptData("auth record has a name that is not text");
        let mut rules = Self::default();
        let mut cursor = reader.scan(Column::Auth, &Span::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.entry() {
            let value = Bytes::copy_from_slice(value);
            match auth::parse_key(key)? {
                Record::Enabled => rules.enabled = value.as_ref() == [1],
                Record::Revision => {
                    rules.revision = value
                        .clone()
                        .try_get_u64()
                        .map_err(|_| StoreError::CorruptData("auth revision is cut short"))?;
                }
                Record::User(name) => {
                    let name = String::from_utf8(name.to_vec()).map_err(nameless)?;
                    let user = authpb::User::decode(value).map_err(malformed)?;
                    rules.users.insert(name, Arc::new(User::new(user)));
                }
                Record::Role(name) => {
                    let name = String::from_utf8(name.to_vec()).map_err(nameless)?;
                    let role = authpb::Role::decode(value).map_err(malformed)?;
                    rules.roles.insert(name, Arc::new(role));
                }
            }
            cursor.advance()?;
        }
        Ok(rules)
    }

    /// The records that turn what holds `before` into what holds these rules: keys, each with its new value or none if
    /// it is gone.
    pub fn changes_since(&self, before: &Self) -> Vec<(Bytes, Option<Bytes>)> {
        let mut changes = Vec::new();
        if self.enabled != before.enabled {
            changes.push((auth::key(Record::Enabled), Some(Bytes::copy_from_slice(&[u8::from(self.enabled)]))));
        }
        if self.revision != before.revision {
            let mut revision = BytesMut::with_capacity(size_of::<u64>());
            revision.put_u64(self.revision);
            changes.push((auth::key(Record::Revision), Some(revision.freeze())));
        }
        let user_key = |name: &String| auth::key(Record::User(name.as_bytes()));
        changes.extend(before.users.diff(&self.users).map(|change| match change {
            DiffItem::Add(name, user) | DiffItem::Update { new: (name, user), .. } => {
                (user_key(name), Some(user.record.encode_to_vec().into()))
            }
            DiffItem::Remove(name, _) => (user_key(name), None),
        }));
        let role_key = |name: &String| auth::key(Record::Role(name.as_bytes()));
        changes.extend(before.roles.diff(&self.roles).map(|change| match change {
            DiffItem::Add(name, role) | DiffItem::Update { new: (name, role), .. } => {
                (role_key(name), Some(role.encode_to_vec().into()))
            }
            DiffItem::Remove(name, _) => (role_key(name), None),
        }));
        changes
    }
}
