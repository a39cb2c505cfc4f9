//! GRUB 2's scripts: the arguments behind what starts a kernel, and the variables and functions' parameters that they are taken from.
//! Never `set root=`, `search`, or anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::arguments::{Arguments, is_key};
use crate::grub::{Command, Piece, Word, assignment, read, starts, visit};

/// Variables that Boot Loader Specification entries, which are no scripts, take their arguments from: Red Hat's.
const OF_ENTRIES: [&str; 3] = ["kernelopts", "default_kernelopts", "early_initrd_kernelopts"];
/// Variables that are set from others, in a row no script is longer than.
const ROUNDS: usize = 32;

/// What a variable holds: the device of the argument with this key, or whole arguments, which is the empty key.
type Keys = BTreeSet<String>;

/// Which variables kernel command lines are made of, over all scripts of a guest.
#[derive(Debug, Default)]
pub(super) struct Used {
    variables: BTreeMap<String, Keys>,
    /// Of each function, its parameters by their number.
    parameters: BTreeMap<String, BTreeMap<usize, Keys>>,
}

impl Used {
    /// Those of these scripts together: one sets what another uses.
    pub fn of<'a>(scripts: impl IntoIterator<Item = &'a str>) -> Self {
        let scripts: Vec<Vec<Command>> = scripts.into_iter().map(read).collect();
        let mut used = Self::default();
        for name in OF_ENTRIES {
            used.variables.entry(name.to_owned()).or_default().insert(String::new());
        }
        for _ in 0..ROUNDS {
            let before = used.size();
            scripts.iter().for_each(|script| used.learn(script, None));
            if used.size() == before {
                break;
            }
        }
        used
    }

    fn size(&self) -> usize {
        let parameters = self.parameters.values().flat_map(BTreeMap::values);
        self.variables.values().chain(parameters).map(BTreeSet::len).sum()
    }

    fn learn(&mut self, commands: &[Command], function: Option<&str>) {
        for command in commands {
            let name = command.name();
            if name == "function" {
                let own = command.words.get(1).map(Word::literal);
                self.learn(&command.body, own.as_deref());
                continue;
            }
            if starts(&name) {
                command
                    .words
                    .iter()
                    .skip(2)
                    .for_each(|word| self.note(&word.pieces, &Keys::from([String::new()]), function));
            }
            for value in self.values(command) {
                self.note(&value.pieces(), &value.keys, function);
            }
            self.learn(&command.body, function);
        }
    }

    /// Notes the variables in a text that holds what `keys` say.
    fn note(&mut self, pieces: &[Piece], keys: &Keys, function: Option<&str>) {
        for (at, piece) in pieces.iter().enumerate() {
            let Piece::Variable(name) = piece else { continue };
            let before = match at.checked_sub(1).map(|at| &pieces[at]) {
                Some(Piece::Text(text)) => text.rsplit(char::is_whitespace).next().unwrap_or_default(),
                _ => "",
            };
            let found = match before {
                "" => keys.clone(),
                key if is_key(key) => Keys::from([key.to_owned()]),
                _ => continue,
            };
            match (name.parse::<usize>(), function) {
                (Ok(number), Some(function)) => {
                    self.parameters.entry(function.to_owned()).or_default().entry(number).or_default().extend(found);
                }
                (Ok(_), None) => {}
                _ => self.variables.entry(name.clone()).or_default().extend(found),
            }
        }
    }

    /// The words of a command that become a part of a command line elsewhere.
    fn values<'a>(&self, command: &'a Command) -> Vec<Value<'a>> {
        let set = assignment(command)
            .and_then(|(name, word)| Some(Value { word, assigned: true, keys: self.variables.get(&name)?.clone() }));
        let called = self.parameters.get(&command.name()).into_iter().flatten();
        let given = called.filter_map(|(number, keys)| {
            Some(Value { word: command.words.get(*number)?, assigned: false, keys: keys.clone() })
        });
        set.into_iter().chain(given).collect()
    }
}

/// A word that becomes a part of a command line elsewhere.
struct Value<'a> {
    word: &'a Word,
    /// What counts stands behind an equals sign.
    assigned: bool,
    /// What it holds.
    keys: Keys,
}

impl Value<'_> {
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = self.word.pieces.clone();
        if let (true, Some(Piece::Text(text))) = (self.assigned, pieces.first_mut()) {
            *text = text.split_once('=').map(|(_, value)| value.to_owned()).unwrap_or_default();
        }
        pieces
    }

    /// Where it stands in the script.
    fn range(&self, text: &str) -> Range<usize> {
        let word = &self.word.range;
        let name = text[word.clone()].find('=').filter(|_| self.assigned).map_or(0, |at| at + 1);
        word.start + name..word.end
    }
}

/// The script with devices by place in kernel command lines made stable.
pub(super) fn rewrite(text: &str, used: &Used, arguments: &mut Arguments<'_>) -> String {
    let commands = read(text);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    visit(&commands, &mut |command| {
        if let (true, [_, _, first, .., last] | [_, _, first @ last]) = (starts(&command.name()), &command.words[..]) {
            let range = first.range.start..last.range.end;
            edits.push((range.clone(), arguments.rewrite(&text[range])));
        }
        for value in used.values(command) {
            let range = value.range(text);
            let own = text[range.clone()].to_owned();
            edits.push((range, value.keys.iter().fold(own, |now, key| arguments.rewrite_value(key, &now))));
        }
    });
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (range, new) in edits.into_iter().filter(|(range, _)| !range.is_empty()) {
        if range.start >= done {
            out.push_str(&text[done..range.start]);
            out.push_str(&new);
            done = range.end;
        }
    }
    out.push_str(&text[done..]);
    out
}

/// The same for a script of which the others are not known.
pub(super) fn alone(text: &str, arguments: &mut Arguments<'_>) -> String {
    rewrite(text, &Used::of([text]), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Devices;
    use crate::fixture;

    #[test]
    fn arguments_wherever_a_script_keeps_them() {
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        for (old, new) in [
            (
                "menuentry \"A\" { linux /k root=/dev/sda1 ro; initrd /i }",
                "menuentry \"A\" { linux /k root=UUID=uuid-0-1 ro; initrd /i }",
            ),
            ("if [ x ]; then linuxefi /k root=/dev/sda1; fi", "if [ x ]; then linuxefi /k root=UUID=uuid-0-1; fi"),
            ("set r=/dev/sda1\nlinux /k root=$r", "set r=UUID=uuid-0-1\nlinux /k root=$r"),
            ("r='/dev/sda1'; linux /k root=${r}", "r='UUID=uuid-0-1'; linux /k root=${r}"),
            (
                "set a=/dev/sda1\nset b=\"root=$a resume=/dev/sda5\"\nlinux /k $b",
                "set a=UUID=uuid-0-1\nset b=\"root=$a resume=UUID=uuid-0-5\"\nlinux /k $b",
            ),
            (
                "function go { linux $1 root=$2 $3; }\ngo /k /dev/sda1 'resume=/dev/sda5'",
                "function go { linux $1 root=$2 $3; }\ngo /k UUID=uuid-0-1 'resume=UUID=uuid-0-5'",
            ),
            ("multiboot2 /xen x\nmodule2 /k root=/dev/sda1", "multiboot2 /xen x\nmodule2 /k root=UUID=uuid-0-1"),
            ("set default_kernelopts=\"root=/dev/sda1 ro\"", "set default_kernelopts=\"root=UUID=uuid-0-1 ro\""),
            ("linux /k \\\n  root=/dev/sda1", "linux /k \\\n  root=UUID=uuid-0-1"),
        ] {
            let mut arguments = Arguments::new(&devices, false);
            assert_eq!(alone(old, &mut arguments), new);
            assert_eq!(alone(new, &mut arguments), new);
            assert!(arguments.unknown.is_empty());
        }
        for same in [
            "set root=/dev/sda1",
            "set other=/dev/sda1\nlinux /k",
            "# linux /k root=/dev/sda1",
            "echo linux /k root=/dev/sda1",
            "search --set=root root=/dev/sda1",
            "set r=/dev/sda1\nlinux /k root=UUID=$r",
            "linux /k",
            "linux",
        ] {
            assert_eq!(alone(same, &mut Arguments::new(&devices, false)), same);
        }
    }

    #[test]
    fn one_script_sets_what_another_uses() {
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        let (sets, uses) = ("set where=/dev/sda1", "source $prefix/a.cfg\nlinux /k root=$where");
        let used = Used::of([uses, sets]);
        let mut arguments = Arguments::new(&devices, false);
        assert_eq!(rewrite(sets, &used, &mut arguments), "set where=UUID=uuid-0-1");
        assert_eq!(rewrite(uses, &used, &mut arguments), uses);
    }
}
