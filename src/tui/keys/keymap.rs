//! The keys in use: those of the table, and what the user's file changes of them.

use crate::tui::keys::binding::{Action, Binding, KeyPress, Scope};
use crate::tui::keys::table;
use crossterm::event::KeyEvent;

/// Every action in every scope, with its keys.
#[derive(Debug, Clone)]
pub struct Keymap {
    rows: Vec<BoundKeys>,
}

/// What some keys do in a scope.
#[derive(Debug, Clone)]
pub struct BoundKeys {
    pub scope: Scope,
    /// May be none.
    pub keys: Vec<KeyPress>,
    pub binding: &'static Binding,
}

impl Default for Keymap {
    fn default() -> Self {
        let rows = table().flat_map(|binding| {
            let scopes = binding.scopes.iter();
            scopes.map(move |scope| BoundKeys {
                scope: *scope,
                keys: binding.keys.to_vec(),
                binding,
            })
        });
        Self {
            rows: rows.collect(),
        }
    }
}

impl Keymap {
    /// What a key does in a scope.
    pub fn action(&self, event: &KeyEvent, scope: Scope) -> Option<&BoundKeys> {
        self.at(scope).find(|b| b.keys.iter().any(|k| k.is(event)))
    }

    /// What keys do in a scope, in the order of the footer and the docs.
    pub fn at(&self, scope: Scope) -> impl Iterator<Item = &BoundKeys> {
        self.of(scope).filter(|b| !b.keys.is_empty())
    }

    /// The keys of an action, if it has any.
    pub fn bound(&self, action: Action, scope: Scope) -> Option<&BoundKeys> {
        let mut all = self.at(scope);
        all.find(|b| b.binding.action == action)
    }

    /// The name of the first key of an action.
    pub fn name(&self, action: Action, scope: Scope) -> String {
        let bound = self.bound(action, scope);
        let key = bound.and_then(|b| b.keys.first());
        key.map_or_else(|| "(no key)".into(), |key| key.name())
    }

    /// All that there can be keys for in a scope.
    pub(super) fn of(&self, scope: Scope) -> impl Iterator<Item = &BoundKeys> {
        self.rows.iter().filter(move |b| b.scope == scope)
    }

    pub(super) fn find(&mut self, scope: Scope, action: &str) -> Option<&mut BoundKeys> {
        let mut all = self.rows.iter_mut().filter(|b| b.scope == scope);
        all.find(|b| b.binding.action.id() == action)
    }
}

impl BoundKeys {
    /// "q, Ctrl-C"
    pub fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|k| k.name()).collect();
        names.join(", ")
    }
}
