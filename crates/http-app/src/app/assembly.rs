//! From the description of an application to the router that serves it.

use std::sync::Arc;

use axum::Router;
use core_executor::{BindError, BoundListener, ConnectionStateListener};
use serde_json::Value;

use super::{App, Mount};
use crate::bodies::{method_not_allowed, route_not_found};
use crate::config::AppConfig;
use crate::error::AppError;
use crate::hooks::Hook;
use crate::metrics::HttpMetrics;
use crate::openapi::{self, Described, OpenApi};
use crate::probes::{self, Readiness};
use crate::route_names::RouteNames;
use crate::route_times::RouteTimes;
use crate::static_files::StaticFiles;
use crate::stop::StopHandle;
use crate::visit::Wanted;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// The whole description as one router, and the parts that go on living beside it.
    pub(crate) fn assemble(self) -> Result<(Router, Parts), AppError> {
        let Self {
            config,
            name,
            metrics,
            stop,
            listener,
            hooks,
            in_budget,
            state,
            router,
            layers,
            fallback,
            files,
            socket,
            probes,
            docs,
            described,
            wanted,
            spans,
            times,
            problem,
        } = self;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let empty = Router::new();
        let missing = match fallback {
            Some(fallback) => fallback(empty),
            None => empty.fallback(route_not_found),
        };
        let missing = missing.with_state(state.clone());
        let routes = router
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(state);
        let names = Arc::new(RouteNames::of(&routes));
        if let Some(times) = &times {
            times.know(&names);
        }
        let readiness = probes.map(|mut readiness| {
            readiness.also_hears(stop.clone());
            readiness
        });
        let own = own_pages(readiness.clone(), docs, &routes, described)?;
        let mut router = with_files(routes, own, files, missing)?;
        for wrap in layers {
            router = wrap(router);
        }
        if spans {
            router = super::middleware::in_spans(router);
        }
        Ok((
            router,
            Parts {
                config,
                name,
                metrics,
                stop,
                listener,
                hooks,
                socket,
                readiness,
                wanted,
                in_budget,
                names,
                times,
            },
        ))
    }
}

/// What is left of a description when its routes have become a router.
pub(crate) struct Parts {
    pub(crate) config: AppConfig,
    pub(crate) name: &'static str,
    pub(crate) metrics: HttpMetrics,
    pub(crate) stop: StopHandle,
    pub(crate) listener: Option<Arc<dyn ConnectionStateListener>>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) socket: Option<Result<BoundListener, BindError>>,
    pub(crate) readiness: Option<Readiness>,
    pub(crate) wanted: Wanted,
    pub(crate) in_budget: bool,
    pub(crate) names: Arc<RouteNames>,
    pub(crate) times: Option<RouteTimes>,
}

/// What the application answers by itself where no route of its own does.
fn own_pages(
    readiness: Option<Readiness>,
    docs: Option<OpenApi>,
    routes: &Router,
    described: Vec<Described>,
) -> Result<Option<Router>, AppError> {
    let probes = readiness.map(probes::router);
    // Made whether or not it is served, so that a description of nothing is an error in any case.
    let document = match docs.is_some() || !described.is_empty() {
        true => Some(document(
            &docs.clone().unwrap_or_default(),
            probes.as_ref(),
            routes,
            described,
        )?),
        false => None,
    };
    let docs = document.filter(|_| docs.is_some());
    let docs = docs.map(|document| openapi::router(document.to_string().into_bytes()));
    let pages = probes.into_iter().chain(docs).reduce(Router::merge);
    Ok(pages.map(|pages| pages.method_not_allowed_fallback(method_not_allowed)))
}

/// The document of the application's routes, and of the probes that no route of its own stands before.
fn document(
    about: &OpenApi,
    probes: Option<&Router>,
    routes: &Router,
    described: Vec<Described>,
) -> Result<Value, AppError> {
    let routes = openapi::routes_of(routes);
    let mut listed = probes.map(openapi::routes_of).unwrap_or_default();
    let mut all = match probes {
        Some(_) => probes::described(),
        None => Vec::new(),
    };
    all.retain(|probe| !routes.contains_key(&probe.path));
    listed.extend(routes);
    all.extend(described);
    openapi::document(about, &listed, all)
}

fn with_files(
    mut router: Router,
    own: Option<Router>,
    files: Vec<Mount>,
    mut missing: Router,
) -> Result<Router, AppError> {
    // Those at `/` answer before the fallback does, the first one given first, also for the others' misses.
    let (everywhere, mounted): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|mount| mount.prefix.is_empty());
    for mount in everywhere.into_iter().rev() {
        missing = Router::new().fallback_service(serving(&mount, missing)?);
    }
    for mount in mounted {
        router = router.nest_service(&mount.prefix, serving(&mount, missing.clone())?);
    }
    if let Some(own) = own {
        missing = own.fallback_service(missing);
    }
    Ok(router.fallback_service(missing))
}

fn serving(mount: &Mount, missing: Router) -> Result<StaticFiles, AppError> {
    let Mount {
        directory, is_spa, ..
    } = mount;
    StaticFiles::new(directory, missing, *is_spa).map_err(|source| AppError::StaticFiles {
        directory: directory.clone(),
        source,
    })
}
