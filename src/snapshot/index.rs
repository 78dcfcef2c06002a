//! Finds the route of a host, path and method. The order of routes in the file never matters: the host decides first, then
//! the most specific path, then the method; a prefix ends at a segment. Built once per snapshot. The path is looked at as it
//! is, byte for byte: the guard has refused what could be read in two ways.

use std::collections::{HashMap, HashSet};

use http::Method;

use crate::config::resolved::Pattern;

/// What the index is built from.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// Exact host, `*.suffix`, or any.
    pub(crate) host: Option<&'a str>,
    /// The path.
    pub(crate) pattern: &'a Pattern,
    /// Any if empty.
    pub(crate) methods: &'a [Method],
}

/// Hosts, then paths, then methods. The values are positions in the list that it was built from.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<String, Paths>,
    /// Suffixes with their dot, the longest first.
    suffixes: Vec<(String, Paths)>,
    any: Paths,
}

/// The paths of one host.
#[derive(Debug, Default)]
struct Paths {
    tree: matchit::Router<usize>,
    /// What stands at one path: a route for each set of methods.
    places: Vec<Vec<Candidate>>,
    by_path: HashMap<String, usize>,
    /// The paths that a route without a rest names.
    literal: HashSet<String>,
}

#[derive(Clone, Debug)]
struct Candidate {
    route: usize,
    methods: Vec<Method>,
}

/// What the index knows of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its route.
    Route(usize),
    /// No route has this host and path.
    Nothing,
    /// A route has, but not with this method. What `Allow` says.
    OtherMethods(String),
}

/// Two routes that no request can tell apart, or a path that is none. `config` has reported it before.
#[derive(Debug, thiserror::Error)]
#[error("the path `{path}` cannot be added to the index: {reason}")]
pub(crate) struct IndexFault {
    path: String,
    reason: String,
}

impl Index {
    /// Builds the index of a list of routes.
    pub(crate) fn build(entries: &[Entry<'_>]) -> Result<Self, IndexFault> {
        let mut index = Self::default();
        // A literal path stands above the bare prefix of one with a rest.
        for rest in [false, true] {
            for (route, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.pattern.rest == rest) {
                index.paths(entry.host).add(route, entry)?;
            }
        }
        index.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Ok(index)
    }

    fn paths(&mut self, host: Option<&str>) -> &mut Paths {
        let Some(host) = host else {
            return &mut self.any;
        };
        let Some(suffix) = host.strip_prefix('*') else {
            return self.exact.entry(host.to_owned()).or_default();
        };
        let known = self.suffixes.iter().position(|(known, _)| known == suffix);
        let at = known.unwrap_or(self.suffixes.len());
        if known.is_none() {
            self.suffixes.push((suffix.to_owned(), Paths::default()));
        }
        self.suffixes.get_mut(at).map_or(&mut self.any, |(_, paths)| paths)
    }

    /// The route of a request. `host` is lower case and without a port.
    pub(crate) fn find(&self, host: &str, path: &str, method: &Method) -> Found {
        let suffixes = self.suffixes.iter().filter(|(suffix, _)| {
            host.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty())
        });
        let hosts = self.exact.get(host).into_iter().chain(suffixes.map(|(_, paths)| paths));
        for paths in hosts.chain([&self.any]) {
            if let Some(place) = paths.at(path) {
                return choose(place, method);
            }
        }
        Found::Nothing
    }
}

impl Paths {
    fn add(&mut self, route: usize, entry: &Entry<'_>) -> Result<(), IndexFault> {
        let base = numbered(&entry.pattern.base);
        let candidate = Candidate { route, methods: entry.methods.to_vec() };
        if !entry.pattern.rest {
            let path = if base.is_empty() { "/" } else { &base };
            self.literal.insert(path.to_owned());
            return self.put(path, candidate);
        }
        for bare in [base.clone(), format!("{base}/")] {
            // A route that names the bare prefix itself is more specific there.
            if !bare.is_empty() && !self.literal.contains(&bare) {
                self.put(&bare, candidate.clone())?;
            }
        }
        self.put(&format!("{base}/{{*rest}}"), candidate)
    }

    fn put(&mut self, path: &str, candidate: Candidate) -> Result<(), IndexFault> {
        if let Some(place) = self.by_path.get(path).and_then(|&place| self.places.get_mut(place)) {
            place.push(candidate);
            return Ok(());
        }
        let fault = |fault: matchit::InsertError| IndexFault { path: path.to_owned(), reason: fault.to_string() };
        self.tree.insert(path, self.places.len()).map_err(fault)?;
        self.by_path.insert(path.to_owned(), self.places.len());
        self.places.push(vec![candidate]);
        Ok(())
    }

    fn at(&self, path: &str) -> Option<&[Candidate]> {
        let place = *self.tree.at(path).ok()?.value;
        self.places.get(place).map(Vec::as_slice)
    }
}

/// A base whose parameters are named by position: two routes may name the same segment differently.
fn numbered(base: &str) -> String {
    let name = |(at, segment): (usize, &str)| {
        if segment.starts_with('{') && !segment.starts_with("{{") { format!("{{s{at}}}") } else { segment.to_owned() }
    };
    base.split('/').enumerate().map(name).collect::<Vec<_>>().join("/")
}

fn choose(place: &[Candidate], method: &Method) -> Found {
    let named = place.iter().find(|candidate| candidate.methods.contains(method));
    let any = || place.iter().find(|candidate| candidate.methods.is_empty());
    // HEAD is answered wherever GET is (RFC 9110, section 9.3.2).
    let as_get = || {
        let get = |candidate: &&Candidate| candidate.methods.contains(&Method::GET);
        if *method == Method::HEAD { place.iter().find(get) } else { None }
    };
    match named.or_else(as_get).or_else(any) {
        Some(candidate) => Found::Route(candidate.route),
        None => Found::OtherMethods(allow(place)),
    }
}

fn allow(place: &[Candidate]) -> String {
    let methods = place.iter().flat_map(|candidate| &candidate.methods).map(Method::as_str);
    methods.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(routes: &[(Option<&str>, &str, &[Method])]) -> Index {
        let patterns: Vec<Pattern> = routes
            .iter()
            .map(|(_, path, _)| match path.strip_suffix("/{*rest}") {
                Some(base) => Pattern { base: base.to_owned(), rest: true },
                None => Pattern { base: (*path).to_owned(), rest: false },
            })
            .collect();
        let entries: Vec<Entry<'_>> = routes
            .iter()
            .zip(&patterns)
            .map(|(&(host, _, methods), pattern)| Entry { host, pattern, methods })
            .collect();
        Index::build(&entries).unwrap()
    }

    fn route(index: &Index, host: &str, path: &str) -> Option<usize> {
        match index.find(host, path, &Method::POST) {
            Found::Route(route) => Some(route),
            Found::Nothing | Found::OtherMethods(_) => None,
        }
    }

    #[test]
    fn a_rest_matches_its_prefix_with_and_without_a_slash_and_everything_below() {
        let index = build(&[(None, "/planner/actions/{*rest}", &[])]);
        for path in ["/planner/actions", "/planner/actions/", "/planner/actions/run", "/planner/actions/a/b"] {
            assert_eq!(route(&index, "gw", path), Some(0), "{path}");
        }
        for path in ["/planner/actionsX", "/planner/action", "/planner", "/planner/actions../x", "/", "/Planner/actions"] {
            assert_eq!(route(&index, "gw", path), None, "{path}");
        }
    }

    #[test]
    fn the_most_specific_path_wins_in_any_order() {
        let routes: [(Option<&str>, &str, &[Method]); 5] = [
            (None, "/{*rest}", &[]),
            (None, "/a/{*rest}", &[]),
            (None, "/a/b", &[]),
            (None, "/a/{x}/c", &[]),
            (None, "/a", &[]),
        ];
        let wanted = [("/z", 0), ("/a/q", 1), ("/a/b", 2), ("/a/b/", 1), ("/a/b/c", 3), ("/a/b/d", 1), ("/a", 4), ("/a/", 1), ("/", 0)];
        for turn in 0..routes.len() {
            let mut turned = routes;
            turned.rotate_left(turn);
            let index = build(&turned);
            for (path, wanted) in wanted {
                let found = route(&index, "gw", path).unwrap();
                assert_eq!(turned[found].1, routes[wanted].1, "{path}, turned by {turn}");
            }
        }
    }

    #[test]
    fn a_host_goes_before_a_path_and_an_exact_host_before_a_suffix() {
        let index = build(&[
            (None, "/a/b", &[]),
            (Some("*.example.com"), "/a/{*rest}", &[]),
            (Some("x.example.com"), "/{*rest}", &[]),
        ]);
        assert_eq!(route(&index, "x.example.com", "/a/b"), Some(2));
        assert_eq!(route(&index, "y.example.com", "/a/b"), Some(1));
        assert_eq!(route(&index, "example.com", "/a/b"), Some(0));
        assert_eq!(route(&index, "evilexample.com", "/a/b"), Some(0));
        assert_eq!(route(&index, "y.example.com", "/other"), None);
    }

    #[test]
    fn the_method_decides_last_and_another_one_is_told_which_would_do() {
        let index = build(&[(None, "/a", &[Method::GET]), (None, "/a", &[Method::POST]), (None, "/{*rest}", &[])]);
        assert_eq!(index.find("gw", "/a", &Method::GET), Found::Route(0));
        assert_eq!(index.find("gw", "/a", &Method::HEAD), Found::Route(0));
        assert_eq!(index.find("gw", "/a", &Method::POST), Found::Route(1));
        assert_eq!(index.find("gw", "/a", &Method::PUT), Found::OtherMethods("GET, POST".to_owned()));
    }

    #[test]
    fn two_routes_may_name_the_same_segment_differently() {
        let index = build(&[(None, "/a/{x}", &[]), (None, "/a/{y}/b", &[])]);
        assert_eq!((route(&index, "gw", "/a/1"), route(&index, "gw", "/a/1/b")), (Some(0), Some(1)));
    }
}
