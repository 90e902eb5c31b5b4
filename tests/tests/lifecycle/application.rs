//! The application itself, what is done to it, and what is looked at afterwards.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use attached_runtime::{
    AttachedRuntime, ExecutorConfig, Hub, LongPollBridge, LongPollConfig, Phase, RuntimeExecutor,
    ShutdownHandle, ShutdownReport, WsReport,
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::sync::{Semaphore, watch};
use tungstenite::Message;
use workspace_tests::{PATIENCE, http};

use crate::model::{Command, Door, Life, Model, Stage};
use crate::scene::{
    Answering, Counts, ROOM, Socket, app, ask, block_on, farewell, own_host, read, say, text, until, ws,
};

/// One running application with its clients.
pub(crate) struct Application {
    runtime: Option<AttachedRuntime>,
    handle: ShutdownHandle,
    phases: watch::Receiver<Phase>,
    seen: Phase,
    http: SocketAddr,
    ws: SocketAddr,
    hub: Hub,
    bridge: LongPollBridge,
    counts: Arc<Counts>,
    /// Lets a held request go.
    gate: Arc<Semaphore>,
    clients: Vec<Socket>,
    /// Clients that wait for their Close, from the wish to stop on.
    leaving: Vec<Answering>,
    held: Vec<Answering>,
    polls: Vec<Answering>,
    /// The first wish was one for an immediate end.
    surely_forced: bool,
}

impl Application {
    fn start() -> Self {
        let executor = RuntimeExecutor::new(ExecutorConfig {
            threads: 1,
            shutdown_deadline: PATIENCE,
            ..ExecutorConfig::default()
        });
        let executor = executor.expect("threads can be started");
        let handle = executor.shutdown_handle();
        let (counts, gate) = (Arc::new(Counts::default()), Arc::new(Semaphore::new(0)));
        let host = own_host();
        let ws = ws(&host, &counts, handle.clone());
        let (hub, bridge) = (
            ws.hub(),
            LongPollBridge::new(LongPollConfig::default()).open_mailboxes(true),
        );
        let runtime = AttachedRuntime::builder(app(&host, &counts, &gate, handle.clone()), ws)
            .long_polling(bridge.clone())
            .start(executor)
            .expect("it starts");
        let addresses = runtime.addresses();
        Self {
            handle,
            phases: runtime.phases(),
            seen: Phase::Serving,
            http: addresses.http.expect("HTTP is served"),
            ws: addresses.ws.expect("WebSocket is served"),
            runtime: Some(runtime),
            hub,
            bridge,
            counts,
            gate,
            clients: Vec::new(),
            leaving: Vec::new(),
            held: Vec::new(),
            polls: Vec::new(),
            surely_forced: false,
        }
    }

    fn connect(&mut self) {
        let address = self.ws;
        let (socket, _) = tungstenite::client(format!("ws://{address}/"), http::connect(address))
            .expect("the server accepts the handshake");
        self.clients.push(socket);
    }

    fn client(&mut self, index: &proptest::sample::Index) -> &mut Socket {
        let at = index.index(self.clients.len());
        &mut self.clients[at]
    }

    fn ask_by(&mut self, door: Door) {
        match door {
            Door::Handle => self.handle.request_stop(),
            Door::Thread => {
                let handle = self.handle.clone();
                thread::spawn(move || handle.request_stop())
                    .join()
                    .expect("no panic");
            }
            Door::HttpHandler => {
                assert_eq!(ask(self.http, "/stop").join().expect("no panic"), Some(200));
            }
            Door::WsCallback(which) => {
                let message = match which {
                    0 => Message::text("stop"),
                    1 => Message::text(r#"{"type":"stop"}"#),
                    _ => Message::binary(b"stop".to_vec()),
                };
                let client = self.clients.last_mut().expect("there is one");
                client.send(message).expect("it can be sent");
                until("the callback asks", || self.handle.is_requested());
            }
        }
        self.leave();
    }

    /// Every client waits for its Close from here on.
    fn leave(&mut self) {
        let clients = self.clients.drain(..);
        self.leaving
            .extend(clients.map(|client| thread::spawn(move || farewell(client))));
    }

    /// Lets the held requests go once the end has begun.
    fn let_go_at_the_end(&self) -> JoinHandle<()> {
        let (mut phases, gate, held) = (self.phases.clone(), self.gate.clone(), self.held.len());
        thread::spawn(move || {
            let _ = block_on(phases.wait_for(|phase| *phase >= Phase::Draining));
            gate.add_permits(held);
        })
    }

    fn finalize(&mut self, model: &Model) {
        self.leave();
        let releasing = (!model.is_forced).then(|| self.let_go_at_the_end());
        let runtime = self.runtime.take().expect("it is there until its end");
        let report = block_on(runtime.finalize_shutdown()).expect("it ends");
        if let Some(releasing) = releasing {
            releasing.join().expect("no panic");
        }
        let ended = self.everybody_has_ended(model, report.forced);
        self.check_report(model, &report, ended);
    }

    fn let_drop(&mut self, model: &Model) {
        self.leave();
        let releasing = (!model.is_forced).then(|| self.let_go_at_the_end());
        drop(self.runtime.take());
        let waiting = async { tokio::time::timeout(PATIENCE, self.handle.ended()).await };
        block_on(waiting).expect("it ends by itself");
        if let Some(releasing) = releasing {
            releasing.join().expect("no panic");
        }
        self.everybody_has_ended(model, model.is_forced);
    }

    /// What the clients saw; gives how many held requests were answered.
    fn everybody_has_ended(&mut self, model: &Model, is_forced: bool) -> usize {
        let join = |waiting: &mut Vec<Answering>| -> Vec<_> {
            let waiting = waiting.drain(..);
            waiting.map(|one| one.join().expect("no panic")).collect()
        };
        let (closes, held, polls) = (
            join(&mut self.leaving),
            join(&mut self.held),
            join(&mut self.polls),
        );
        if !is_forced {
            assert_eq!(
                closes,
                vec![Some(1001); model.clients.len()],
                "Close of each client"
            );
            assert_eq!(held, vec![Some(200); model.held], "held requests");
            assert_eq!(polls, vec![Some(200); model.polls], "polls");
        }
        assert_eq!(read(&self.counts.opens), model.opened);
        assert_eq!(
            read(&self.counts.closes),
            model.opened,
            "one on_close for each on_open"
        );
        assert!(read(&self.counts.hooks) <= 1);
        assert_eq!(self.hub.sessions(), 0);
        assert!(self.handle.is_ended());
        assert_eq!(self.handle.cause(), model.cause);
        for address in [self.http, self.ws] {
            assert!(
                TcpStream::connect(address).is_err(),
                "a port is open after the end"
            );
        }
        held.into_iter().flatten().count()
    }

    fn check_report(&self, model: &Model, report: &ShutdownReport, held_answered: usize) {
        let WsReport {
            sessions,
            closed_cleanly,
            unanswered,
            left,
            cut_off,
            undelivered_messages,
            ..
        } = report.websocket;
        let clients = model.clients.len() as u64;
        assert_eq!(Some(report.cause), model.cause);
        assert_eq!(closed_cleanly + unanswered + left + cut_off, sessions, "{report}");
        assert_eq!(sessions, clients, "{report}");
        assert_eq!(undelivered_messages, 0, "{report}");
        assert!(!self.surely_forced || report.forced, "{report}");
        assert!(model.is_forced || !report.forced, "{report}");
        let most = model.polls + read(&self.counts.held) + model.answered;
        assert!(
            report.requests_answered + report.requests_cut <= most as u64,
            "{report}"
        );
        if report.forced {
            assert_eq!(report.code(), 3);
            return;
        }
        assert_eq!(closed_cleanly, clients, "{report}");
        assert_eq!(report.polls_answered, model.polls as u64, "{report}");
        assert!(report.requests_answered >= model.polls as u64, "{report}");
        assert_eq!((report.requests_cut, held_answered), (0, model.held), "{report}");
        assert_eq!(read(&self.counts.hooks), 1);
        assert!(
            report.is_clean() && report.executor.is_clean() && report.code() == 0,
            "{report}"
        );
    }
}

impl StateMachineTest for Application {
    type SystemUnderTest = Self;
    type Reference = Life;

    fn init_test(_: &Model) -> Self {
        Self::start()
    }

    /// `model` is as it is to be afterwards.
    fn apply(mut application: Self, model: &Model, command: Command) -> Self {
        application.obey(model, command);
        application
    }

    fn check_invariants(application: &Self, model: &Model) {
        application.is_as(model);
    }

    fn teardown(mut application: Self, model: Model) {
        if model.stage != Stage::Over {
            let model = Life::apply(model, &Command::Finalize);
            application.finalize(&model);
        }
    }
}

impl Application {
    fn obey(&mut self, model: &Model, command: Command) {
        match command {
            Command::Connect => self.connect(),
            Command::Echo(index) => assert_eq!(say(self.client(&index), "echo"), "echo"),
            Command::Join(index) => assert_eq!(say(self.client(&index), "join"), "join"),
            Command::Leave(index) => assert_eq!(say(self.client(&index), "leave"), "leave"),
            Command::Broadcast => {
                let published =
                    block_on(self.hub.broadcast_text_to_room(ROOM, "news")).expect("a room's name");
                let members = model.clients.iter().filter(|client| client.is_in_room);
                assert_eq!(published.delivered as usize, members.count());
                for (socket, client) in self.clients.iter_mut().zip(&model.clients) {
                    if client.is_in_room {
                        assert_eq!(text(socket), "news");
                    }
                }
            }
            Command::Close(index) => {
                let at = index.index(self.clients.len());
                let mut socket = self.clients.remove(at);
                socket.close(None).expect("the Close can be sent");
                while socket.read().is_ok() {}
                until("it has closed", || self.hub.sessions() == model.clients.len());
            }
            Command::Vanish(index) => {
                let at = index.index(self.clients.len());
                drop(self.clients.remove(at));
                until("it is missed", || self.hub.sessions() == model.clients.len());
            }
            // After the end it is only asked whether the ports are closed.
            Command::Get if model.stage == Stage::Over => assert!(TcpStream::connect(self.http).is_err()),
            Command::Get => assert_eq!(ask(self.http, "/").join().expect("no panic"), Some(200)),
            Command::Hold => {
                let before = read(&self.counts.held);
                self.held.push(ask(self.http, "/hold"));
                until("it is held", || read(&self.counts.held) > before);
            }
            Command::Release => {
                self.gate.add_permits(1);
                let first = self.held.remove(0);
                assert_eq!(first.join().expect("no panic"), Some(200));
            }
            Command::Poll => {
                let mailbox = format!("/ws/poll?session_id=lp-{}", model.polls);
                self.polls.push(ask(self.http, &mailbox));
                until("it waits", || self.bridge.waiting() == model.polls);
            }
            Command::Ask(door) => self.ask_by(door),
            Command::AskNow => {
                self.surely_forced |= !self.handle.is_requested();
                self.handle.request_stop_now();
                self.leave();
            }
            Command::Finalize => self.finalize(model),
            Command::Drop => self.let_drop(model),
        }
        let phase = *self.phases.borrow();
        assert!(
            self.seen <= phase,
            "a phase went back from {} to {phase}",
            self.seen
        );
        self.seen = phase;
    }

    fn is_as(&self, model: &Model) {
        assert_eq!(self.handle.cause(), model.cause);
        assert_eq!(self.handle.is_requested(), model.stage != Stage::Serving);
        if model.stage != Stage::Serving {
            return;
        }
        let members = model.clients.iter().filter(|client| client.is_in_room);
        assert_eq!(self.seen, Phase::Serving);
        assert_eq!(self.hub.sessions(), model.clients.len());
        assert_eq!(self.hub.room_size(ROOM), members.count());
        assert_eq!(read(&self.counts.opens), model.opened);
        assert_eq!(read(&self.counts.closes), model.closed_before);
        assert_eq!(self.bridge.waiting(), model.polls);
    }
}
