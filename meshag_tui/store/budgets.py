"""What may be spent on models: plans with a cap, and the subscriptions that put one in force.

A subscription is of the whole installation, of one project or one user; every one about a call must allow it. Its
period is the calendar month or year, UTC. What runs counts with the most it may cost, so that calls at the same time
pass the cap together by at most one. After the end of a subscription only models on this machine are asked; one that
was cancelled holds no more. An override lets calls through until a moment, and says by whom and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import peewee

from meshag_tui.store import activity, database, ids, models, people
from meshag_tui.store.amounts import currency_code, day, decimal, micros
from meshag_tui.store.documents import clean
from meshag_tui.types import KEY_MARK, MeshagError, Taken, UsageError

WARN_AT = 0.8
PERIODS = ("month", "year")
SEEDED = (
    ("Local only", None, True),
    ("Team", "50", False),
    ("Unlimited", None, False),
)
"""Plans made when asked to: name, cap a month, whether only models on this machine."""


class Blocked(MeshagError):
    """A budget does not let this call through."""


class Plan(NamedTuple):
    """A budget plan. `cap` None: none. `subscriptions`: how many are active."""

    id: str
    name: str
    cap: Decimal | None
    currency: str
    period: str
    providers: tuple[str, ...]
    local_only: bool
    features: tuple[str, ...]
    active: bool
    subscriptions: int
    created_at: int
    updated_at: int


class Standing(NamedTuple):
    """A subscription and how it stands. `spent` is what calls of its period cost, `held` what running ones may."""

    id: str
    plan: str
    project: str | None
    user: str | None
    status: str
    start_at: int
    end_at: int | None
    cap: Decimal | None
    currency: str
    period: str
    spent: Decimal
    held: Decimal
    unpriced: int  # calls of the period that no price is known for
    override_until: int | None
    override_by: str | None
    override_reason: str | None
    created_at: int
    updated_at: int

    @property
    def scope(self) -> str:
        """What it is for, in words."""
        return self.project or (f"{self.user} alone" if self.user else "everything")

    @property
    def share(self) -> float | None:
        """Of the cap, what is spent and held; None without a cap."""
        return None if not self.cap else float((self.spent + self.held) / self.cap)


# --- plans ----------------------------------------------------------------------------------------------------------


def add_plan(
    name: str,
    cap: str | Decimal | None = None,
    *,
    currency: str = "USD",
    period: str = "month",
    providers: Sequence[str] = (),
    local_only: bool = False,
    features: Sequence[str] = (),
) -> Plan:
    """Make a plan. UsageError: a name that is taken, a cap that is no amount above 0, another period."""
    with database.durable():
        now = database.now_ms()
        columns = _plan_columns(
            name=name,
            cap=cap,
            currency=currency,
            period=period,
            providers=providers,
            local_only=local_only,
            features=features,
        )
        _free(columns["name"], None)
        plan_id = ids.new("pkg")
        models.Package.create(id=plan_id, created_at=now, updated_at=now, **columns)
    return plan(plan_id)


def edit_plan(plan_id: str, **changes: Any) -> Plan:
    """Change a plan: the names of `add_plan`, and `active`. A cap holds from the next call on."""
    package = models.Package
    with database.durable():
        columns = _plan_columns(**{name: value for name, value in changes.items() if name != "active"})
        if "name" in columns:
            _free(columns["name"], plan_id)
        if "active" in changes:
            columns["active"] = bool(changes["active"])
        package.update(updated_at=database.now_ms(), **columns).where(package.id == plan_id).execute()
    return plan(plan_id)


def plans(limit: int | None = None) -> tuple[Plan, ...]:
    """The first plans, or all, by name."""
    package, subscription = models.Package, models.Subscription
    rows: Any = list(package.select().order_by(package.name).limit(limit))
    counted: Any = (
        subscription.select(subscription.package, peewee.fn.COUNT(subscription.id))
        .where((subscription.status == "active") & subscription.package.in_([row.id for row in rows]))
        .group_by(subscription.package)
        .tuples()
    )
    counts = dict(counted)
    return tuple(
        Plan(
            row.id,
            row.name,
            decimal(row.cap_micros),
            row.currency,
            row.period,
            tuple(row.providers),
            row.local_only,
            tuple(row.features),
            row.active,
            counts.get(row.id, 0),
            row.created_at,
            row.updated_at,
        )
        for row in rows
    )


def plan(name_or_id: str) -> Plan:
    """A plan by name or id. UsageError if there is none."""
    for each in plans():
        if name_or_id in (each.id, each.name):
            return each
    raise UsageError(f"There is no plan {name_or_id!r}: meshag budget plans")


def remove_plan(plan_id: str) -> None:
    """Forget a plan that no subscription has, not even an ended one. UsageError otherwise: retire it instead."""
    subscription = models.Subscription
    if subscription.select().where(subscription.package == plan_id).exists():
        raise UsageError("There are subscriptions of this plan: retire it instead")
    models.Package.delete().where(models.Package.id == plan_id).execute()


def seed_plans() -> tuple[Plan, ...]:
    """Make the plans of `SEEDED` that are not there yet."""
    known = {each.name for each in plans()}
    for name, cap, local in SEEDED:
        if name not in known:
            add_plan(name, cap, local_only=local)
    return plans()


# --- subscriptions --------------------------------------------------------------------------------------------------


def subscribe(
    plan_name: str,
    *,
    project: str | None = None,
    user: str | None = None,
    start_at: int | None = None,
    end_at: int | None = None,
    replace: bool = False,
) -> Standing:
    """Put a plan in force from `start_at` (now) until `end_at` (no end), for a project, a user or for everything.

    Raises:
        UsageError: a retired plan, an end before the start, or one is in force there already and `replace` is not said.
    """
    subscription = models.Subscription
    with database.durable():
        now = database.now_ms()
        _expire(now)
        wanted = plan(plan_name)
        if not wanted.active:
            raise UsageError(f"The plan {wanted.name} is retired: it is not given out any more")
        begin = now if start_at is None else start_at
        if end_at is not None and end_at <= begin:
            raise UsageError("A subscription ends after it starts")
        if project is not None and user is not None:
            raise UsageError("A subscription is of a project or of a user: make two for both")
        project_id = None if project is None else _project(project)
        user_id = None if user is None else people.find(user).id
        there: Any = subscription.select().where(
            (subscription.status == "active")
            & _same(subscription.project, project_id)
            & _same(subscription.user, user_id)
            & (subscription.end_at.is_null() | (subscription.end_at > begin))
        )
        if end_at is not None:
            there = there.where(subscription.start_at < end_at)
        others = list(there)
        if others and not replace:
            raise UsageError(
                f"A plan is in force there already ({others[0].package.name}): say --replace to replace it"
            )
        for other in others:
            subscription.update(status="cancelled", end_at=now, updated_at=now).where(
                subscription.id == other.id
            ).execute()
        sub_id = ids.new("sub")
        subscription.create(
            id=sub_id,
            package=wanted.id,
            project=project_id,
            user=user_id,
            start_at=begin,
            end_at=end_at,
            created_at=now,
            updated_at=now,
        )
    return standing(sub_id)


def cancel(sub_id: str) -> Standing:
    """End a subscription now."""
    _update(sub_id, status="cancelled", end_at=database.now_ms())
    return standing(sub_id)


def override(sub_id: str, until: int, by: str, reason: str) -> Standing:
    """Let calls through whatever the budget says, until a moment (epoch ms). UsageError without a reason."""
    if not reason.strip():
        raise UsageError("An override needs a reason")
    with database.durable():
        _update(sub_id, override_until=until, override_by=by, override_reason=clean(reason.strip()))
        activity.record(
            by, "budget.override", f"Budget overridden: {reason.strip()}", subject=sub_id, details={"until": until}
        )
    return standing(sub_id)


def standings(now: int | None = None, limit: int | None = None) -> tuple[Standing, ...]:
    """The newest subscriptions, or all, with how they stand, the newest first."""
    at = database.now_ms() if now is None else now
    subscription, package = models.Subscription, models.Package
    query = subscription.select(subscription, package).join(package).order_by(subscription.id.desc())
    rows = list(query.limit(limit))
    names = _names(rows)
    return tuple(_standing(row, names, at) for row in rows)


def standing(sub_id: str) -> Standing:
    """One subscription. UsageError if it is gone."""
    for each in standings():
        if each.id == sub_id:
            return each
    raise UsageError(f"There is no subscription {sub_id}: meshag budget list")


def in_force(project_id: str | None = None, now: int | None = None, actor: str | None = None) -> tuple[Standing, ...]:
    """The subscriptions that are about calls of a project (or of none) and of who acts, those that hold now."""
    at = database.now_ms() if now is None else now
    rows = [row for row in _about(project_id, actor) if _holds(row, at)]
    names = _names(rows)
    return tuple(_standing(row, names, at) for row in rows)


# --- what the ledger asks, inside its transaction ---------------------------------------------------------------------


def check(
    provider: str,
    local: bool,
    project_id: str | None,
    most_micros: int | None,
    currency: str | None,
    now: int,
    actor: str | None = None,
) -> None:
    """Whether a call may begin that costs at most `most_micros` (None: not known). Call it inside a transaction.

    The rows of the subscriptions are locked until its end, so that of two calls at the same time one sees the other.

    Raises:
        Blocked: one of them does not let it through; the text says which, and what to do.
    """
    _expire(now)
    rows = list(_about(project_id, actor, lock=True))
    holding = [row for row in rows if _holds(row, now)]
    scopes = {(row.project_id, row.user_id) for row in holding}
    for row in rows:
        alone = (row.project_id, row.user_id) not in scopes
        if row.status == "expired" and alone and not local and not _overridden(row, now):
            raise Blocked(
                f"The plan {row.package.name} ended on {day(row.end_at)}: only models on this machine are asked "
                "(meshag budget subscribe)"
            )
    for row in holding:
        plan_, name = row.package, row.package.name
        if _overridden(row, now):
            continue
        if plan_.local_only and not local:
            raise Blocked(f"The plan {name} allows only models on this machine")
        if plan_.providers and provider not in plan_.providers:
            raise Blocked(f"The plan {name} does not allow {provider}: it allows {', '.join(plan_.providers)}")
        if plan_.cap_micros is None or local:
            continue
        if most_micros is None or currency != plan_.currency:
            raise Blocked(
                f"No price in {plan_.currency} is known for this model of {provider}, so that the cap of {name} cannot "
                "be held: meshag prices set, or override"
            )
        spent, held, _ = _used(row, now)
        if spent + held >= plan_.cap_micros:
            raise Blocked(
                f"The budget of {name} is used up: {decimal(spent + held)} of {decimal(plan_.cap_micros)} "
                f"{plan_.currency} this {plan_.period} (meshag budget override)"
            )


def alert(project_id: str | None, now: int, actor: str | None = None) -> tuple[str, ...]:
    """Record, once a period each, that 80 % or all of a cap is used; returns what was said now."""
    from meshag_tui.store.remembered import recall, remember

    said = []
    for row in _about(project_id, actor):
        if not _holds(row, now) or not row.package.cap_micros:
            continue
        spent, _, _ = _used(row, now)
        reached = next((level for level in (1.0, WARN_AT) if spent >= level * row.package.cap_micros), None)
        if reached is None:
            continue
        key, mark = f"cost-alert:{row.id}", [period_start(row.package.period, now), reached]
        before = recall(key)
        if before is not None and before[0] == mark[0] and before[1] >= reached:
            continue
        remember(key, mark)
        text = (
            f"{decimal(spent)} of {decimal(row.package.cap_micros)} {row.package.currency} of the plan "
            f"{row.package.name} are spent this {row.package.period}"
        )
        activity.record("meshag", "cost_alert", text, subject=row.id, details={"reached": reached})
        said.append(text)
    return tuple(said)


def period_start(period: str, now: int) -> int:
    """The beginning of the calendar month or year, UTC, epoch ms."""
    at = datetime.fromtimestamp(now / 1000, UTC)
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return round((first if period == "month" else first.replace(month=1)).timestamp() * 1000)


# --- inside -----------------------------------------------------------------------------------------------------------


def _about(project_id: str | None, actor: str | None, lock: bool = False) -> Iterable[Any]:
    subscription, package = models.Subscription, models.Package
    mine = subscription.project.is_null()
    if project_id is not None:
        mine |= subscription.project == project_id
    mine &= subscription.user.is_null() | (subscription.user == _user(actor))
    query = subscription.select(subscription, package).join(package).where(mine).order_by(subscription.id)
    if lock and database.kind() == "postgresql":
        query = query.for_update(of=subscription)
    found: Iterable[Any] = query
    return found


def _user(actor: str | None) -> str:
    """The id of who acts, also by an access key; "" for nobody we know."""
    if actor is None:
        return ""
    if actor.startswith(KEY_MARK):
        row: Any = models.AccessKey.get_or_none(models.AccessKey.prefix == actor)
        return "" if row is None else str(row.user_id)
    who = people.by_account(actor)
    return "" if who is None else who.id


def _names(rows: Sequence[Any]) -> dict[str, str]:
    """Of the projects and users of these subscriptions, by id."""
    project, user = models.Project, models.User
    of = project.select(project.id, project.name).where(project.id.in_([row.project_id for row in rows]))
    by = user.select(user.id, user.name).where(user.id.in_([row.user_id for row in rows]))
    return {row.id: row.name for row in (*of, *by)}


def _holds(row: Any, now: int) -> bool:
    return bool(row.status == "active" and row.start_at <= now and (row.end_at is None or now < row.end_at))


def _overridden(row: Any, now: int) -> bool:
    return row.override_until is not None and now < row.override_until


def _expire(now: int) -> None:
    """What has ended says so."""
    subscription = models.Subscription
    over = (subscription.status == "active") & (subscription.end_at <= now)
    subscription.update(status="expired", updated_at=database.clock()).where(over).execute()


def _used(row: Any, now: int) -> tuple[int, int, int]:
    """Millionths spent and held, and calls without a price, of the period that `now` is in."""
    usage = models.Usage
    since = max(period_start(row.package.period, now), row.start_at)
    mine = (usage.at >= since) & (usage.local == False)  # noqa: E712 (an expression)
    if row.project_id is not None:
        mine &= usage.project == row.project_id
    if row.user_id is not None:
        key, user = models.AccessKey, models.User
        own: Any = [*key.select(key.prefix).where(key.user == row.user_id).tuples()]
        own += [*user.select(user.account).where(user.id == row.user_id).tuples()]
        mine &= usage.actor.in_([name for (name,) in own])
    same = usage.currency == row.package.currency
    running = usage.outcome == "reserved"
    sums: Any = (
        usage.select(
            peewee.fn.COALESCE(peewee.fn.SUM(peewee.Case(None, [(same & ~running, usage.cost_micros)])), 0),
            peewee.fn.COALESCE(peewee.fn.SUM(peewee.Case(None, [(same & running, usage.reserved_micros)])), 0),
            peewee.fn.COALESCE(
                peewee.fn.SUM(peewee.Case(None, [(usage.cost_micros.is_null() & (usage.outcome == "success"), 1)], 0)),
                0,
            ),
        )
        .where(mine)
        .tuples()
        .get()
    )
    spent, held, unpriced = sums
    return int(spent), int(held), int(unpriced)


def _standing(row: Any, names: dict[str, str], now: int) -> Standing:
    spent, held, unpriced = _used(row, now)
    ended = row.status == "active" and row.end_at is not None and row.end_at <= now
    return Standing(
        row.id,
        row.package.name,
        None if row.project_id is None else names.get(row.project_id, row.project_id),
        None if row.user_id is None else names.get(row.user_id, row.user_id),
        "expired" if ended else row.status,
        row.start_at,
        row.end_at,
        decimal(row.package.cap_micros),
        row.package.currency,
        row.package.period,
        decimal(spent) or Decimal(0),
        decimal(held) or Decimal(0),
        unpriced,
        row.override_until,
        row.override_by,
        row.override_reason,
        row.created_at,
        row.updated_at,
    )


def _update(sub_id: str, **columns: Any) -> None:
    subscription = models.Subscription
    done = subscription.update(updated_at=database.clock(), **columns).where(subscription.id == sub_id).execute()
    if not done:
        raise UsageError(f"There is no subscription {sub_id}: meshag budget list")


def _same(field: Any, value: str | None) -> Any:
    return field.is_null() if value is None else field == value


def _project(name: str) -> str:
    row: Any = models.Project.get_or_none((models.Project.name == name) | (models.Project.id == name))
    if row is None:
        raise UsageError(f"There is no project {name!r}")
    return str(row.id)


def _free(name: str, own_id: str | None) -> None:
    package = models.Package
    if package.select().where((package.name == name) & (package.id != (own_id or ""))).exists():
        raise Taken(f"There is already a plan named {name!r}")


def _plan_columns(**given: Any) -> dict[str, Any]:
    columns = dict(given)
    if "name" in columns:
        columns["name"] = clean(columns["name"]).strip()
        if not columns["name"] or len(columns["name"]) > 100 or not columns["name"].isprintable():
            raise UsageError("A plan's name is 1 to 100 visible characters")
    if "cap" in columns:
        cap = columns.pop("cap")
        columns["cap_micros"] = None if cap is None else micros(cap)
        if columns["cap_micros"] is not None and columns["cap_micros"] <= 0:
            raise UsageError("A cap is above 0; leave it out for none")
    if "currency" in columns:
        columns["currency"] = currency_code(columns["currency"])
    if columns.get("period", "month") not in PERIODS:
        raise UsageError("A plan's period is month or year")
    for name in ("providers", "features"):
        if name in columns:
            columns[name] = [clean(each).strip() for each in columns[name] if each.strip()]
    return columns
