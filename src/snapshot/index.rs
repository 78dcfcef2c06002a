//! Finds the route of a host, path and method. The order of routes in the file never matters: the host decides first, then
//! the most specific path, then the method; a prefix ends at a segment. Built once per snapshot. The path is looked at as it
//! is, byte for byte: the guard has refused what could be read in two ways.

use std::collections::HashMap;

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

/// The paths of one host, as a tree of segments.
#[derive(Debug, Default)]
struct Paths {
    /// Sorted.
    literal: Vec<(Box<str>, Self)>,
    /// `{name}`: any one segment that is not empty.
    parameter: Option<Box<Self>>,
    /// Routes that end here: one for each set of methods.
    here: Vec<Candidate>,
    /// Routes that end here with `/{*rest}`.
    rest: Vec<Candidate>,
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

impl Index {
    /// Builds the index of a list of routes.
    pub(crate) fn build(entries: &[Entry<'_>]) -> Self {
        let mut index = Self::default();
        for (route, entry) in entries.iter().enumerate() {
            index.paths(entry.host).add(route, entry);
        }
        index.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        index
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
        let suffixes = self
            .suffixes
            .iter()
            .filter(|(suffix, _)| host.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty()));
        let hosts = self.exact.get(host).into_iter().chain(suffixes.map(|(_, paths)| paths));
        for paths in hosts.chain([&self.any]) {
            if let Some(place) = paths.at(path.strip_prefix('/')) {
                return choose(place, method);
            }
        }
        Found::Nothing
    }
}

impl Paths {
    fn add(&mut self, route: usize, entry: &Entry<'_>) {
        let Pattern { base, rest } = entry.pattern;
        let node = base.split('/').skip(1).fold(self, Self::below);
        // The path `/` is one empty segment; the base of `/{*rest}` is none.
        let node = if base.is_empty() && !rest { node.below("") } else { node };
        let candidate = Candidate { route, methods: entry.methods.to_vec() };
        if *rest { node.rest.push(candidate) } else { node.here.push(candidate) }
    }

    /// The node of one segment below this one, made if it is not there.
    #[expect(clippy::indexing_slicing, reason = "what is not there is inserted on the line before")]
    fn below(&mut self, segment: &str) -> &mut Self {
        if segment.starts_with('{') && !segment.starts_with("{{") {
            return self.parameter.get_or_insert_default();
        }
        let at = self.literal.partition_point(|(known, _)| **known < *segment);
        if self.literal.get(at).is_none_or(|(known, _)| **known != *segment) {
            self.literal.insert(at, (segment.into(), Self::default()));
        }
        &mut self.literal[at].1
    }

    /// What stands at the rest of a path, of which `None` means that nothing is left. A literal segment goes before a
    /// parameter, and a parameter before a rest.
    fn at(&self, path: Option<&str>) -> Option<&[Candidate]> {
        let some = |candidates: &'_ Vec<Candidate>| !candidates.is_empty();
        let Some(path) = path else {
            return [&self.here, &self.rest].into_iter().find(|candidates| some(candidates)).map(Vec::as_slice);
        };
        let (segment, left) = path.split_once('/').map_or((path, None), |(segment, left)| (segment, Some(left)));
        let known = self.literal.binary_search_by(|(known, _)| (**known).cmp(segment)).ok();
        let literal = known.and_then(|at| self.literal.get(at)).and_then(|(_, node)| node.at(left));
        let parameter = || self.parameter.as_ref().filter(|_| !segment.is_empty()).and_then(|node| node.at(left));
        literal.or_else(parameter).or_else(|| Some(&self.rest).filter(|rest| some(rest)).map(Vec::as_slice))
    }
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
        Index::build(&entries)
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
        for path in
            ["/planner/actionsX", "/planner/action", "/planner", "/planner/actions../x", "/", "/Planner/actions"]
        {
            assert_eq!(route(&index, "gw", path), None, "{path}");
        }
    }

    #[test]
    fn the_most_specific_path_wins_in_any_order() {
        let routes: [(Option<&str>, &str, &[Method]); 7] = [
            (None, "/{*rest}", &[]),
            (None, "/a/{*rest}", &[]),
            (None, "/a/b", &[]),
            (None, "/a/{x}/c", &[]),
            (None, "/a", &[]),
            (None, "/p/{x}", &[]),
            (None, "/p/q/{*rest}", &[]),
        ];
        let wanted = [
            ("/p/1", 5),
            ("/p/q", 6),
            ("/p/q/r", 6),
            ("/p/", 0),
            ("/z", 0),
            ("/a/q", 1),
            ("/a/b", 2),
            ("/a/b/", 1),
            ("/a/b/c", 3),
            ("/a/b/d", 1),
            ("/a", 4),
            ("/a/", 1),
            ("/", 0),
        ];
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
