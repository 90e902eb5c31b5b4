//! What is to be expected: the commands there are, and what each of them makes of the application.

use attached_runtime::StopCause;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest_state_machine::ReferenceStateMachine;

/// What may be done to an application.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// A WebSocket client connects.
    Connect,
    /// One of them says something, which comes back.
    Echo(Index),
    Join(Index),
    Leave(Index),
    /// Somebody speaks to the room.
    Broadcast,
    /// A client closes with 1000 and waits for the answer.
    Close(Index),
    /// A client is gone without a word.
    Vanish(Index),
    /// A request that is answered at once.
    Get,
    /// A request whose handler waits until it is let go.
    Hold,
    /// One of those is let go.
    Release,
    /// A poll that waits.
    Poll,
    /// Somebody asks for the end.
    Ask(Door),
    /// Somebody asks for it at once: nothing is waited for.
    AskNow,
    /// The owner ends it and reads the report.
    Finalize,
    /// The owner drops it.
    Drop,
}

/// From where the end is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Handle,
    Thread,
    HttpHandler,
    WsCallback(usize),
}

/// Who holds the application, and whether its end was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    Asked,
    /// Ended by its owner, or dropped.
    Over,
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) is_in_room: bool,
}

/// The application as it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) stage: Stage,
    /// Clients that are connected.
    pub(crate) clients: Vec<Client>,
    /// Sessions there have been.
    pub(crate) opened: usize,
    /// Those of them that ended before the end was asked for.
    pub(crate) closed_before: usize,
    /// Requests that are held.
    pub(crate) held: usize,
    /// Polls that wait.
    pub(crate) polls: usize,
    pub(crate) cause: Option<StopCause>,
    pub(crate) is_forced: bool,
    /// Requests that were answered at once. One that its client has read may be under way for a moment still.
    pub(crate) answered: usize,
}

impl Model {
    fn ask(&mut self, cause: StopCause) {
        self.cause.get_or_insert(cause);
        if self.stage == Stage::Serving {
            self.stage = Stage::Asked;
        }
    }

    fn is_possible(&self, command: &Command) -> bool {
        let serving = self.stage == Stage::Serving;
        match command {
            Command::Connect => serving && self.clients.len() < 5,
            Command::Echo(_) | Command::Join(_) | Command::Leave(_) => serving && !self.clients.is_empty(),
            Command::Close(_) | Command::Vanish(_) => serving && !self.clients.is_empty(),
            Command::Broadcast | Command::Get => serving,
            Command::Hold => serving && self.held < 2,
            Command::Poll => serving && self.polls < 2,
            Command::Release => self.stage != Stage::Over && self.held > 0 && !self.is_forced,
            Command::Ask(Door::Handle | Door::Thread) | Command::AskNow => self.stage != Stage::Over,
            Command::Ask(Door::HttpHandler) => serving,
            Command::Ask(Door::WsCallback(_)) => serving && !self.clients.is_empty(),
            Command::Finalize | Command::Drop => self.stage != Stage::Over,
        }
    }
}

/// The strategy's side of the model.
pub(crate) struct Life;

impl ReferenceStateMachine for Life {
    type State = Model;
    type Transition = Command;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model {
            stage: Stage::Serving,
            clients: Vec::new(),
            opened: 0,
            closed_before: 0,
            held: 0,
            polls: 0,
            cause: None,
            is_forced: false,
            answered: 0,
        })
        .boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Command> {
        let which = any::<Index>;
        let all = prop_oneof![
            6 => Just(Command::Connect),
            3 => which().prop_map(Command::Echo),
            3 => which().prop_map(Command::Join),
            1 => which().prop_map(Command::Leave),
            2 => Just(Command::Broadcast),
            1 => which().prop_map(Command::Close),
            1 => which().prop_map(Command::Vanish),
            2 => Just(Command::Get),
            2 => Just(Command::Hold),
            1 => Just(Command::Release),
            2 => Just(Command::Poll),
            1 => Just(Command::Ask(Door::Handle)),
            1 => Just(Command::Ask(Door::Thread)),
            1 => Just(Command::Ask(Door::HttpHandler)),
            1 => (0..3_usize).prop_map(|callback| Command::Ask(Door::WsCallback(callback))),
            1 => Just(Command::AskNow),
            1 => Just(Command::Finalize),
            1 => Just(Command::Drop),
        ];
        if model.stage == Stage::Over {
            // Nothing more may be done; a run has to go on with something.
            return Just(Command::Get).boxed();
        }
        let model = model.clone();
        all.prop_filter("possible now", move |command| model.is_possible(command))
            .boxed()
    }

    fn preconditions(model: &Model, command: &Command) -> bool {
        model.stage == Stage::Over && matches!(command, Command::Get) || model.is_possible(command)
    }

    fn apply(mut model: Model, command: &Command) -> Model {
        let which = |index: &Index, model: &Model| index.index(model.clients.len());
        match command {
            Command::Connect => {
                model.opened += 1;
                model.clients.push(Client { is_in_room: false });
            }
            Command::Join(index) => {
                let at = which(index, &model);
                model.clients[at].is_in_room = true;
            }
            Command::Leave(index) => {
                let at = which(index, &model);
                model.clients[at].is_in_room = false;
            }
            Command::Close(index) | Command::Vanish(index) => {
                let at = which(index, &model);
                model.clients.remove(at);
                model.closed_before += 1;
            }
            Command::Hold => model.held += 1,
            Command::Release => model.held -= 1,
            Command::Poll => model.polls += 1,
            Command::Ask(door) => {
                model.answered += usize::from(*door == Door::HttpHandler);
                model.ask(StopCause::Requested);
            }
            Command::AskNow => {
                model.is_forced = true;
                model.ask(StopCause::Requested);
            }
            Command::Finalize => {
                model.ask(StopCause::Requested);
                model.stage = Stage::Over;
            }
            Command::Drop => {
                model.ask(StopCause::Dropped);
                model.stage = Stage::Over;
            }
            Command::Get => model.answered += 1,
            Command::Echo(_) | Command::Broadcast => {}
        }
        model
    }
}
