//! Export then import = same balances.

use postfold::command::{
    Action, AssertBalance, CloseAccount, ClosePeriod, Freeze, Leg, OpenAccount, Part, Post, Record, RegisterCurrency,
    ReopenPeriod, ReverseEntry, SetLimits, SettleHold, VoidHold,
};
use postfold::event::{AccountChanged, EntryPosted, PostedLeg, kind};
use postfold::{Command, Data, Event, Hold, Payload};
use postfold_proptests::History;
use postfold_proptests::strategy::{Mix, history};
use serde_json::Value;

use crate::support::{Broken, Store, held};
use crate::{law, same};

law!(a_log_that_is_exported_and_imported_has_the_same_balances, history(&Mix::default(), 0..40));

/// A log turned back into commands, as lines of JSON with the times of the log, gives the same accounts, balances and
/// entities on an empty ledger.
async fn a_log_that_is_exported_and_imported_has_the_same_balances(
    store: Store,
    history: History,
) -> Result<(), Broken> {
    let (exported, imported) = (store.book().await, store.book().await);
    history.send_together(&exported.ledger, &exported.clock).await?;
    for event in exported.events().await? {
        let Some(command) = command_of(&event)? else { continue };
        let line = serde_json::to_string(&command)?;
        imported.clock.set(event.recorded_at);
        let outcome = imported.ledger.submit(Command::from_json(&line)?).await?;
        same!(outcome.is_ok(), true, "whether {line} is done; {outcome:?}");
    }
    same!(held(imported.balances().await?), held(exported.balances().await?), "the balances");
    let (there, here) = (exported.events().await?, imported.events().await?);
    same!(entities(&here), entities(&there), "the entities");
    Ok(())
}

/// What an event was asked as; `None` for the row that closes a batch.
fn command_of(event: &Event) -> Result<Option<Command>, Broken> {
    let action = match event.payload()? {
        Payload::CurrencyRegistered(currency) => Action::RegisterCurrency(RegisterCurrency {
            code: currency.code,
            scale: currency.scale,
            name: currency.name,
        }),
        Payload::AccountOpened(opened) => Action::OpenAccount(OpenAccount {
            account: opened.account,
            currency: opened.currency,
            account_type: opened.account_type,
            normal: Some(opened.normal),
            limits: opened.limits,
            owner: opened.owner,
            name: opened.name,
        }),
        Payload::AccountChanged(changed) => changed_by(event, changed),
        Payload::EntryPosted(EntryPosted { reverses: Some(entry), reason, .. }) => {
            Action::Reverse(ReverseEntry { entry, reason })
        }
        Payload::EntryPosted(entry) => Action::Post(Post { legs: named(&entry.legs), text: entry.text }),
        Payload::HoldPlaced(placed) => {
            let hold = Hold::legs("", named(&placed.legs));
            let hold = placed.expires_at.into_iter().fold(hold, Hold::expires_at);
            Command::from(hold).action
        }
        Payload::HoldSettled(settled) => Action::Settle(SettleHold {
            hold: settled.hold,
            part: Part::Legs(named(&settled.legs)),
            keep_rest: !settled.rest.is_empty(),
            text: settled.text,
        }),
        Payload::HoldReleased(_) if event.kind == kind::HOLD_EXPIRED => Command::expire_due().action,
        Payload::HoldReleased(released) => Action::Void(VoidHold { hold: released.hold, reason: released.reason }),
        Payload::BalanceAsserted(asserted) => Action::AssertBalance(AssertBalance {
            account: asserted.account,
            currency: Some(asserted.currency),
            amount: asserted.amount,
            as_of: asserted.as_of,
        }),
        Payload::PeriodMoved(moved) => match (event.kind.as_str(), moved.through) {
            (kind::PERIOD_CLOSED, Some(through)) => Action::ClosePeriod(ClosePeriod { through }),
            (_, through) => Action::ReopenPeriod(ReopenPeriod { through, reason: moved.reason.unwrap_or_default() }),
        },
        Payload::EntityChanged => Action::Record(Record {
            entity: event.stream.clone().unwrap_or_default(),
            kind: event.kind.clone(),
            data: Data::new(&serde_json::from_str::<Value>(event.data.get())?)?,
            schema: event.schema,
            expected_version: event.version.map(|version| version - 1),
        }),
        Payload::BatchCommitted(_) => return Ok(None),
    };
    let command = Command::new(action).at(event.effective_at);
    // A hold, a settle and their like need an id; the expiry of one hold of several bears none.
    Ok(Some(event.id.iter().fold(command, Command::id)))
}

fn changed_by(event: &Event, changed: AccountChanged) -> Action {
    let AccountChanged { account, currency, reason, status } = changed;
    let currency = Some(currency);
    let reason = reason.unwrap_or_default();
    match event.kind.as_str() {
        kind::LIMITS_SET => Action::SetLimits(SetLimits { account, currency, limits: status.limits, force: true }),
        kind::ACCOUNT_FROZEN => Action::Freeze(Freeze { account, currency, reason }),
        kind::ACCOUNT_UNFROZEN => Action::Unfreeze(Freeze { account, currency, reason }),
        _ => Action::CloseAccount(CloseAccount { account, currency }),
    }
}

fn named(legs: &[PostedLeg]) -> Vec<Leg> {
    let leg = |leg: &PostedLeg| Leg {
        account: leg.account.clone(),
        amount: leg.amount,
        currency: Some(leg.currency.clone()),
    };
    legs.iter().map(leg).collect()
}

/// What happened to entities, in order.
fn entities(events: &[Event]) -> Vec<(Option<&str>, Option<i64>, &str, &str)> {
    let entities = events.iter().filter(|event| event.entity().is_some());
    entities.map(|event| (event.entity(), event.version, event.kind.as_str(), event.data.get())).collect()
}
