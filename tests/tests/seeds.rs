//! What the two seeds say, sentence by sentence, and the test that shows each.
//!
//! A statement that we improved on purpose names the words under which `docs/from-vix.md` or `docs/from-restinio.md`
//! says why.
//!
//! Long because it is a table.

mod tree;

use tree::has_test;

/// A sentence of a seed.
struct Statement {
    says: &'static str,
    /// `file::test`, or a file of `tests/misuse` that must not compile.
    shown_by: &'static [&'static str],
    /// Words of the document that says what is different here, and why.
    improved: Option<&'static str>,
}

const ATTACHED_RUNTIME: &[Statement] = &[
    Statement {
        says: "AttachedRuntime runs one HTTP app and one WebSocket server together",
        shown_by: &["tests/tests/attached/start.rs::both_servers_run_from_the_start_on_one_executor"],
        improved: None,
    },
    Statement {
        says: "both run on one shared RuntimeExecutor",
        shown_by: &[
            "tests/tests/attached/start.rs::both_servers_run_from_the_start_on_one_executor",
            "tests/tests/settings.rs::worker_threads",
        ],
        improved: None,
    },
    Statement {
        says: "it starts the WebSocket server itself, at once",
        shown_by: &["tests/tests/attached/start.rs::both_servers_run_from_the_start_on_one_executor"],
        improved: Some("`start` binds every listener, then serves."),
    },
    Statement {
        says: "it registers a shutdown callback on the HTTP app",
        shown_by: &[
            "tests/tests/attached/asking.rs::stopping_only_the_websocket_server_from_its_own_callback_leaves_http_running",
            "tests/tests/attached/end.rs::the_order_of_the_end_is_hook_then_sessions_then_executor",
        ],
        improved: None,
    },
    Statement {
        says: "the HTTP shutdown callback asks WebSocket to stop without blocking",
        shown_by: &[
            "crates/http-app/tests/life.rs::asking_never_blocks_takes_effect_once_and_leaves_the_application_answering",
            "crates/ws-server/tests/asking.rs::stop_async_from_every_callback_refuses_new_sessions_and_keeps_the_others",
        ],
        improved: None,
    },
    Statement {
        says: "the final shutdown comes from a safe control path",
        shown_by: &[
            "tests/misuse/end_inside_callback.rs",
            "tests/misuse/end_inside_task.rs",
        ],
        improved: Some("Finalise from a safe control path."),
    },
    Statement {
        says: "the destructor cleans up when the user forgets to",
        shown_by: &["tests/tests/attached/end.rs::dropping_asks_detaches_and_the_end_still_comes"],
        improved: Some("The destructor calls `finalize_shutdown()`."),
    },
    Statement {
        says: "nobody has to coordinate start, join and double shutdown by hand",
        shown_by: &[
            "tests/tests/examples.rs::minimal",
            "tests/tests/drain.rs::everybody_is_answered_and_every_session_closed",
        ],
        improved: None,
    },
    Statement {
        says: "the constructor takes app, ws and executor",
        shown_by: &["tests/tests/attached/start.rs::both_servers_run_from_the_start_on_one_executor"],
        improved: None,
    },
    Statement {
        says: "minimal example: GET / answers, a message is echoed",
        shown_by: &["tests/tests/examples.rs::minimal"],
        improved: None,
    },
    Statement {
        says: "app.run(8080) is the blocking run loop",
        shown_by: &["tests/tests/attached/end.rs::run_blocks_until_a_handle_asks"],
        improved: Some("`app.run(8080)` is the run loop."),
    },
    Statement {
        says: "HTTP runs on its port, by default 8080",
        shown_by: &[
            "tests/tests/attached/start.rs::the_defaults_are_the_documented_ports",
            "tests/tests/settings.rs::hosts_and_ports",
        ],
        improved: None,
    },
    Statement {
        says: "WebSocket runs on its own configured port, by default 9090",
        shown_by: &[
            "tests/tests/attached/start.rs::the_defaults_are_the_documented_ports",
            "tests/tests/settings.rs::hosts_and_ports",
        ],
        improved: None,
    },
    Statement {
        says: "start-up: executor, server, callbacks, runtime, then HTTP",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: Some("Register HTTP routes after creating the runtime."),
    },
    Statement {
        says: "a banner is shown",
        shown_by: &[
            "tests/tests/settings.rs::port_zero_reports_the_real_port_everywhere",
            "tests/tests/settings.rs::colours_never_reach_a_pipe",
        ],
        improved: None,
    },
    Statement {
        says: "WebSocket serves before the HTTP run loop begins",
        shown_by: &["tests/tests/attached/start.rs::both_servers_run_from_the_start_on_one_executor"],
        improved: None,
    },
    Statement {
        says: "shutdown has two phases: ask, then end",
        shown_by: &["tests/tests/attached/end.rs::the_order_of_the_end_is_hook_then_sessions_then_executor"],
        improved: None,
    },
    Statement {
        says: "asking sets stop_requested and calls ws.stop_async()",
        shown_by: &[
            "crates/ws-server/tests/asking.rs::after_stop_async_the_port_is_closed_and_open_connections_get_503",
        ],
        improved: None,
    },
    Statement {
        says: "ending stops WebSocket, then the executor",
        shown_by: &["tests/tests/attached/end.rs::the_order_of_the_end_is_hook_then_sessions_then_executor"],
        improved: Some("Final order: WebSocket, then the executor."),
    },
    Statement {
        says: "do not block in an HTTP shutdown callback",
        shown_by: &[
            "crates/http-app/tests/hooks.rs::hooks_run_once_in_order_whatever_the_others_do",
            "tests/misuse/end_inside_hook.rs",
        ],
        improved: Some("Do not block in shutdown callbacks."),
    },
    Statement {
        says: "request_stop is non-blocking",
        shown_by: &["crates/core-executor/tests/shutdown.rs::asking_costs_the_same_however_many_wait"],
        improved: None,
    },
    Statement {
        says: "request_stop is idempotent",
        shown_by: &[
            "crates/core-executor/tests/shutdown.rs::asked_by_a_hundred_threads_it_takes_effect_once",
        ],
        improved: None,
    },
    Statement {
        says: "request_stop may be called more than once",
        shown_by: &[
            "tests/tests/attached/asking.rs::asking_from_a_hundred_threads_takes_effect_once_and_never_blocks",
        ],
        improved: None,
    },
    Statement {
        says: "request_stop may be called from callbacks",
        shown_by: &[
            "tests/tests/attached/asking.rs::every_callback_may_ask_for_the_stop",
            "tests/tests/drain.rs::stopping_from_an_http_handler_and_from_a_callback_ends_the_process",
        ],
        improved: None,
    },
    Statement {
        says: "finalize_shutdown performs the final cleanup",
        shown_by: &["tests/tests/attached/end.rs::after_the_end_no_task_of_ours_runs"],
        improved: None,
    },
    Statement {
        says: "finalize_shutdown runs only once",
        shown_by: &[
            "tests/misuse/finalize_twice.rs",
            "tests/misuse/run_and_finalize.rs",
        ],
        improved: Some("`finalize_shutdown()` may be called many times and runs once."),
    },
    Statement {
        says: "finalize_shutdown may be called several times",
        shown_by: &["tests/tests/attached/end.rs::any_number_may_wait_for_the_end"],
        improved: Some("`finalize_shutdown()` may be called many times and runs once."),
    },
    Statement {
        says: "the state of the shutdown lives apart from the runtime",
        shown_by: &["tests/tests/attached/end.rs::run_inside_async_code_is_refused_and_asks_for_the_end"],
        improved: None,
    },
    Statement {
        says: "the callback holds that state, not the runtime",
        shown_by: &["tests/misuse/end_inside_hook.rs"],
        improved: None,
    },
    Statement {
        says: "stop_async only asks and joins no thread",
        shown_by: &[
            "crates/ws-server/tests/asking.rs::stop_async_from_a_hundred_threads_at_once",
            "crates/ws-server/tests/asking.rs::stop_async_from_every_callback_refuses_new_sessions_and_keeps_the_others",
        ],
        improved: None,
    },
    Statement {
        says: "stop performs the final shutdown and finishes the cleanup",
        shown_by: &[
            "crates/ws-server/tests/stop.rs::every_session_gets_1001_and_one_on_close",
            "crates/ws-server/tests/stop.rs::the_hub_lets_go_of_the_callbacks_at_the_end",
        ],
        improved: Some("`ws.stop()` joins threads."),
    },
    Statement {
        says: "HTTP routes are registered normally",
        shown_by: &["crates/http-app/tests/routing.rs::routes_groups_nested_and_merged_routers_answer"],
        improved: None,
    },
    Statement {
        says: "the app has middleware and static files",
        shown_by: &[
            "crates/http-app/tests/routing.rs::middleware_covers_routes_given_later_and_404_and_405_and_files",
            "crates/http-app/tests/static_files.rs::ordinary_files_are_served_under_a_prefix_and_at_the_root",
        ],
        improved: None,
    },
    Statement {
        says: "WebSocket callbacks are registered normally",
        shown_by: &["crates/ws-server/tests/sessions.rs::text_and_binary_come_back_and_are_counted"],
        improved: None,
    },
    Statement {
        says: "the runtime does not replace route registration",
        shown_by: &["tests/misuse/runtime_as_router.rs"],
        improved: Some("Treating the runtime as a router is a mistake."),
    },
    Statement {
        says: "typed messages: `ping` is answered `pong`",
        shown_by: &[
            "tests/tests/examples.rs::typed_messages",
            "tests/tests/examples.rs::lab",
        ],
        improved: None,
    },
    Statement {
        says: "rooms: join on open, broadcast what is said to the room",
        shown_by: &[
            "tests/tests/examples.rs::rooms",
            "crates/ws-server/tests/sessions.rs::what_on_open_does_is_in_effect_before_the_client_is_open",
        ],
        improved: None,
    },
    Statement {
        says: "the runtime does not change how rooms work",
        shown_by: &[
            "crates/ws-server/tests/rooms.rs::broadcasts_reach_the_room_all_or_all_but_one",
            "tests/tests/examples.rs::rooms",
        ],
        improved: None,
    },
    Statement {
        says: "a long-polling bridge is attached before the runtime",
        shown_by: &[
            "tests/tests/examples.rs::long_polling",
            "crates/longpoll-bridge/tests/bridge/refusals.rs::before_it_is_attached",
        ],
        improved: None,
    },
    Statement {
        says: "the bridge keeps 256 messages for 60 seconds",
        shown_by: &[
            "tests/tests/settings.rs::what_a_mailbox_keeps",
            "tests/tests/settings.rs::mailboxes_are_bounded_in_number_and_gone_after_their_time",
        ],
        improved: None,
    },
    Statement {
        says: "a WebSocket message is parsed as JsonMessage and reaches those who poll",
        shown_by: &[
            "crates/longpoll-bridge/tests/bridge/rooms.rs::an_envelope_of_a_session_goes_to_its_room_or_to_everybody",
        ],
        improved: None,
    },
    Statement {
        says: "metrics are shared by WebSocket and long polling",
        shown_by: &[
            "crates/longpoll-bridge/tests/bridge/metrics.rs::every_number_moves",
            "tests/tests/examples.rs::full_is_the_second_example_of_the_seed",
        ],
        improved: None,
    },
    Statement {
        says: "a metrics exporter serves /metrics on port 9100",
        shown_by: &[
            "crates/http-app/tests/metrics.rs::the_exporter_is_an_ordinary_application",
            "tests/tests/attached/start.rs::the_defaults_are_the_documented_ports",
        ],
        improved: Some("The examples bind `0.0.0.0`."),
    },
    Statement {
        says: ".env gives SERVER_PORT, WEBSOCKET_HOST and WEBSOCKET_PORT",
        shown_by: &[
            "tests/tests/settings.rs::the_environment_beats_the_local_file_which_beats_the_file",
            "tests/tests/settings.rs::hosts_and_ports",
        ],
        improved: None,
    },
    Statement {
        says: "full example: `welcome` on open",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: None,
    },
    Statement {
        says: "full example: `echo: ` in front of every text",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: None,
    },
    Statement {
        says: "full example: `room.join` is answered `joined general`",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: None,
    },
    Statement {
        says: "full example: `chat.message` says `new chat message` to the room",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: None,
    },
    Statement {
        says: "full example: / and /status answer",
        shown_by: &["tests/tests/examples.rs::full_is_the_second_example_of_the_seed"],
        improved: None,
    },
    Statement {
        says: "recommended order of creation",
        shown_by: &[
            "tests/misuse/callbacks_after_start.rs",
            "tests/misuse/routes_after_start.rs",
        ],
        improved: Some("Register HTTP routes after creating the runtime."),
    },
    Statement {
        says: "shutdown is coordinated: one lifecycle for REST, pages and realtime",
        shown_by: &["tests/tests/drain.rs::everybody_is_answered_and_every_session_closed"],
        improved: None,
    },
    Statement {
        says: "a WebSocket server can be used alone, with settings and executor",
        shown_by: &["tests/tests/examples.rs::standalone_ws"],
        improved: None,
    },
    Statement {
        says: "an HTTP app can be used alone",
        shown_by: &["tests/tests/examples.rs::standalone_http"],
        improved: None,
    },
    Statement {
        says: "every lifecycle step can be driven by hand",
        shown_by: &["crates/http-app/tests/life.rs::the_steps_of_the_end_can_be_driven_one_by_one"],
        improved: None,
    },
    Statement {
        says: "callbacks after the runtime was created are a mistake",
        shown_by: &[
            "tests/misuse/callbacks_after_start.rs",
            "tests/misuse/runtime_as_server.rs",
        ],
        improved: Some("Register callbacks before the runtime"),
    },
    Statement {
        says: "a blocking end inside a shutdown callback is a mistake",
        shown_by: &[
            "tests/misuse/end_inside_hook.rs",
            "tests/misuse/end_inside_callback.rs",
        ],
        improved: Some("Do not block in shutdown callbacks."),
    },
    Statement {
        says: "different executors for HTTP and WebSocket are a mistake",
        shown_by: &[
            "tests/misuse/own_executor.rs",
            "tests/misuse/executor_used_twice.rs",
        ],
        improved: Some("Use one shared executor."),
    },
    Statement {
        says: "a forgotten WebSocket port is a mistake",
        shown_by: &[
            "tests/tests/bad_settings.rs::a_taken_port_is_a_start_error",
            "tests/tests/bad_settings.rs::unknown_settings_in_a_file_are_start_errors",
        ],
        improved: None,
    },
    Statement {
        says: "using the runtime as a router is a mistake",
        shown_by: &["tests/misuse/runtime_as_router.rs"],
        improved: Some("Treating the runtime as a router is a mistake."),
    },
];

const CONNECTION_STATE_LISTENER: &[Statement] = &[
    Statement {
        says: "the server can notify about changes of connection states",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: None,
    },
    Statement {
        says: "by default nobody is informed",
        shown_by: &[
            "crates/core-executor/src/connection_guard.rs::without_a_listener_the_guard_is_a_null_pointer",
        ],
        improved: None,
    },
    Statement {
        says: "the user's listener has state_changed(notice)",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: Some("Three steps: class, traits typedef, instance."),
    },
    Statement {
        says: "one argument by const reference, nothing returned",
        shown_by: &["crates/core-executor/src/connection_guard.rs::exactly_one_last_word_however_it_ends"],
        improved: None,
    },
    Statement {
        says: "state_changed is noexcept",
        shown_by: &[
            "crates/core-executor/src/connection_guard.rs::a_listener_that_panics_is_counted_and_hears_the_rest",
        ],
        improved: Some("The method is `noexcept`."),
    },
    Statement {
        says: "the listener's type is part of the server's traits",
        shown_by: &["crates/http-app/tests/life.rs::the_listener_hears_accepted_and_one_last_word"],
        improved: Some("Three steps: class, traits typedef, instance."),
    },
    Statement {
        says: "the instance is given in the server's settings",
        shown_by: &["crates/ws-server/tests/mounting.rs::the_state_listener_hears_accepted_then_upgraded"],
        improved: None,
    },
    Statement {
        says: "a notice has the connection's id",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: None,
    },
    Statement {
        says: "a notice has the remote endpoint",
        shown_by: &["crates/http-app/tests/life.rs::the_listener_hears_accepted_and_one_last_word"],
        improved: None,
    },
    Statement {
        says: "a notice has the cause: accepted",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: None,
    },
    Statement {
        says: "a notice has the cause: closed, by an error or a normal end",
        shown_by: &["crates/core-executor/tests/serving/ends.rs::the_client_resets"],
        improved: None,
    },
    Statement {
        says: "a notice has the cause: upgraded_to_websocket",
        shown_by: &["crates/ws-server/tests/mounting.rs::the_state_listener_hears_accepted_then_upgraded"],
        improved: None,
    },
    Statement {
        says: "after the upgrade the listener is not called again",
        shown_by: &[
            "crates/ws-server/tests/mounting.rs::the_state_listener_hears_accepted_then_upgraded",
            "tests/tests/examples.rs::lab",
        ],
        improved: None,
    },
    Statement {
        says: "one listener serves all connections, from several threads at once",
        shown_by: &[
            "crates/core-executor/tests/serving/listening.rs::accepted_first_and_one_last_word_on_many_threads",
        ],
        improved: None,
    },
    Statement {
        says: "calls for different connections are not serialised",
        shown_by: &[
            "crates/core-executor/tests/serving/listening.rs::accepted_first_and_one_last_word_on_many_threads",
        ],
        improved: None,
    },
    Statement {
        says: "accepted comes before closed or upgraded",
        shown_by: &[
            "crates/core-executor/src/connection_guard.rs::exactly_one_last_word_however_it_ends",
            "crates/core-executor/tests/serving/ends.rs::the_client_resets",
        ],
        improved: None,
    },
    Statement {
        says: "accepted and the last word may come on different threads",
        shown_by: &[
            "crates/core-executor/tests/serving/listening.rs::accepted_first_and_one_last_word_on_many_threads",
        ],
        improved: None,
    },
    Statement {
        says: "a request is read, handled later, and kept pending",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: None,
    },
    Statement {
        says: "a client that leaves while its request is handled goes unnoticed",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: Some(
            "While a request is handled, nothing is read, so a client that leaves is not noticed.",
        ),
    },
    Statement {
        says: "max_pipelined_requests makes it noticed",
        shown_by: &["crates/http-app/tests/routing.rs::pipelined_requests_are_answered_in_order"],
        improved: Some("Raise `max_pipelined_requests` to notice it."),
    },
    Statement {
        says: "handle_request_timeout bounds a handler",
        shown_by: &[
            "crates/http-app/tests/limits.rs::a_request_out_of_time_gets_503_and_its_handler_is_dropped",
            "crates/http-app/tests/limits.rs::routes_choose_their_own_timeout",
        ],
        improved: None,
    },
    Statement {
        says: "cleanup_func lets go of kept requests at the end",
        shown_by: &["tests/tests/examples.rs::connection_states"],
        improved: Some("`cleanup_func` clears kept requests."),
    },
    Statement {
        says: "thread safety is the user's task",
        shown_by: &["crates/core-executor/src/connection_guard.rs::exactly_one_last_word_however_it_ends"],
        improved: Some("Thread safety of the listener is the user's task."),
    },
    Statement {
        says: "a listener costs what it does",
        shown_by: &[
            "crates/core-executor/src/connection_guard.rs::a_listener_that_panics_is_counted_and_hears_the_rest",
        ],
        improved: Some("A listener costs what it does; make it quick."),
    },
    Statement {
        says: "the noop listener costs nothing",
        shown_by: &[
            "crates/core-executor/src/connection_guard.rs::without_a_listener_the_guard_is_a_null_pointer",
        ],
        improved: Some("`noop_listener_t` costs nothing, the code is eliminated."),
    },
];

fn read(path: &str) -> String {
    tree::read(&tree::root().join(path))
}

fn check(statements: &[Statement], document: &str) {
    let document_text = read(document);
    for Statement {
        says,
        shown_by,
        improved,
    } in statements
    {
        assert!(!shown_by.is_empty(), "nothing shows: {says}");
        for place in *shown_by {
            match place.split_once("::") {
                Some((file, test)) => {
                    assert!(has_test(file, test), "{place} is no test; it should show: {says}")
                }
                None => {
                    let expected = place.replace(".rs", ".stderr");
                    assert!(
                        !read(place).is_empty() && read(&expected).contains("error"),
                        "{place}"
                    );
                }
            }
        }
        if let Some(words) = improved {
            assert!(
                document_text.contains(words),
                "{document} does not say why, under {words:?}: {says}"
            );
        }
    }
}

#[test]
fn every_statement_about_the_attached_runtime_is_shown() {
    check(ATTACHED_RUNTIME, "docs/from-vix.md");
}

#[test]
fn every_statement_about_the_connection_state_listener_is_shown() {
    check(CONNECTION_STATE_LISTENER, "docs/from-restinio.md");
}

#[test]
fn the_table_is_whole() {
    assert!(ATTACHED_RUNTIME.len() + CONNECTION_STATE_LISTENER.len() >= 60);
    let mut seen = std::collections::BTreeSet::new();
    for Statement { says, .. } in ATTACHED_RUNTIME.iter().chain(CONNECTION_STATE_LISTENER) {
        assert!(seen.insert(says), "twice: {says}");
    }
}
