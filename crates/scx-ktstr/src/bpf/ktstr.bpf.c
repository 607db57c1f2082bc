/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One queue for the whole machine, first in first out; a task that wakes up while a CPU is idle goes straight to that CPU.
 * Everything else in this file is a fault, off unless its variable was set before loading.
 */
#include "kernel.h"

char _license[] SEC("license") = "GPL";

/* Queues. */
#define SHARED 0 /* the policy's own */
#define STARVED 1 /* of those that are starved */
#define HELD 2 /* what a stalled scheduler takes and never gives */
#define LOST 3 /* where the planted bug leaves its victims */

/* Looks at the clock of one loop, the most there may be, and loops of a spin: each look costs some 20 ns, so this is more than 5 s. */
#define SPIN_LIMIT (1 << 23)
#define SPIN_TIMES 64
#define COMM_LEN 16
#define TEXT_LEN 128

/* Faults; 0, or -1 for a CPU, is off. Times count from the attach. */
const volatile u64 slice_ns = SCX_SLICE_DFL;
const volatile u64 stall_after_ns;
const volatile u64 error_after_ns;
const volatile u64 leave_after_ns;
const volatile u64 slow_dispatch_ns;
const volatile u64 slow_wakeup_ns;
const volatile u64 starve_every_ns;
const volatile u64 lost_wakeup_ns;
const volatile s32 starve_pid;
const volatile s32 starve_nice; /* 0 starves nobody */
const volatile char starve_comm[COMM_LEN];
const volatile s32 ignore_cpu = -1;
const volatile s32 pile_on_cpu = -1;
const volatile u32 ignore_pinned;
const volatile u32 misplace;
const volatile u32 cpus; /* of the machine */
const volatile u32 keep_last;
const volatile char message[TEXT_LEN];

static char as_text[] = "%s";

/* When it was attached, ns; when the starved task had its last turn. */
u64 began_ns;
u64 starved_turn_ns;

/* Why it was thrown out; kind 0 while it runs. */
s64 exit_code;
char exit_reason[TEXT_LEN];
char exit_message[1024];
u32 exit_kind;

/* Enqueues so far, as the planted bug counts them. */
u64 enqueues;

static bool due(u64 after_ns)
{
	return after_ns && bpf_ktime_get_ns() - began_ns >= after_ns;
}

static void end_if_due(void)
{
	unsigned long long data[] = { (unsigned long long)message };

	if (due(error_after_ns))
		scx_bpf_error_bstr(as_text, data, sizeof(data));
	else if (due(leave_after_ns))
		scx_bpf_exit_bstr(0, as_text, data, sizeof(data));
}

static long look_at_clock(u64 turn, u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

static void spin(u64 ns)
{
	u64 until = bpf_ktime_get_ns() + ns;
	int i;

	for (i = 0; i < SPIN_TIMES && bpf_ktime_get_ns() < until; i++)
		bpf_loop(SPIN_LIMIT, look_at_clock, &until, 0);
}

static bool is_starved(struct task_struct *p)
{
	int i;

	if (starve_nice)
		return p->static_prio - DEFAULT_PRIO == starve_nice && !(p->flags & PF_KTHREAD);
	if (starve_pid)
		return p->pid == starve_pid || p->tgid == starve_pid;
	if (!starve_comm[0])
		return false;
	for (i = 0; i < COMM_LEN; i++) {
		if (!starve_comm[i])
			return true;
		if (p->comm[i] != starve_comm[i])
			return false;
	}
	return true;
}

/* Kernel threads go on, so that the kernel's own watchdog can say what it sees. */
static bool is_held(struct task_struct *p)
{
	return !(p->flags & PF_KTHREAD) && due(stall_after_ns);
}

static bool only_on_ignored(struct task_struct *p)
{
	return ignore_cpu >= 0 && p->nr_cpus_allowed == 1 && bpf_cpumask_test_cpu(ignore_cpu, p->cpus_ptr);
}

static bool goes_through_queue(struct task_struct *p)
{
	return slow_dispatch_ns || lost_wakeup_ns || pile_on_cpu >= 0 || is_starved(p) || is_held(p);
}

/* A task that may use every CPU cannot be misplaced; this scheduler's own process and PID 1 may, and see what becomes of the others. */
static bool is_confined(struct task_struct *p)
{
	return p->nr_cpus_allowed < cpus;
}

static bool piles_up(struct task_struct *p)
{
	return pile_on_cpu >= 0 && bpf_cpumask_test_cpu(pile_on_cpu, p->cpus_ptr);
}

static void wake_an_idle_cpu(struct task_struct *p)
{
	s32 cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);

	/* Picking takes a CPU off the idle ones, so the second pick is another. */
	if (ignore_cpu >= 0 && cpu == ignore_cpu)
		cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

static s32 a_forbidden_cpu(struct task_struct *p, s32 otherwise)
{
	s32 cpu;

	for (cpu = 0; cpu < 64; cpu++) {
		if (!bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			return cpu;
	}
	return otherwise;
}

s32 KTSTR_OPS(ktstr_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool idle = false;
	s32 cpu;

	/* No run queue is locked here, but this CPU's tick does not come: its clock stands still, and others can see it. */
	if (slow_wakeup_ns && is_confined(p))
		spin(slow_wakeup_ns);
	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);

	if (misplace && is_confined(p))
		return a_forbidden_cpu(p, cpu);
	/* There at once, or the kernel would count a fallback for each task that it has to move there. */
	if (piles_up(p))
		return pile_on_cpu;
	if (idle && !(ignore_cpu >= 0 && cpu == ignore_cpu) && !goes_through_queue(p))
		insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	return cpu;
}

/*
 * The planted bug: a task is announced in two steps, and when another CPU enqueues between them, the announcement is taken for
 * the other's. Kernel threads and PID 1 are spared, so that somebody can say what they see.
 */
static bool loses_wakeup(struct task_struct *p)
{
	u64 mine = __sync_fetch_and_add(&enqueues, 1) + 1;

	spin(lost_wakeup_ns);
	return *(volatile u64 *)&enqueues != mine && !(p->flags & PF_KTHREAD) && p->tgid != 1;
}

/* The run queue's clock stands still while a dispatch spins, and the task is charged for it. */
static u64 turn_ns(void)
{
	return slice_ns + slow_dispatch_ns;
}

void KTSTR_OPS(ktstr_enqueue, struct task_struct *p, u64 enq_flags)
{
	end_if_due();
	if (is_starved(p)) {
		insert(p, STARVED, slice_ns, enq_flags);
		return;
	}
	if (is_held(p)) {
		insert(p, HELD, slice_ns, enq_flags);
		return;
	}
	if (only_on_ignored(p)) {
		bool stays_out = ignore_pinned && !(p->flags & PF_KTHREAD);

		insert(p, stays_out ? STARVED : SCX_DSQ_LOCAL, slice_ns, enq_flags);
		return;
	}
	/* Slow for tasks, not for the kernel, whose grace periods need many turns. */
	if (slow_dispatch_ns && (p->flags & PF_KTHREAD)) {
		insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		return;
	}
	if (piles_up(p)) {
		insert(p, SCX_DSQ_LOCAL_ON | pile_on_cpu, slice_ns, enq_flags);
		return;
	}
	if (lost_wakeup_ns && loses_wakeup(p)) {
		insert(p, LOST, slice_ns, enq_flags);
		return;
	}
	insert(p, SHARED, turn_ns(), enq_flags);
	wake_an_idle_cpu(p);
}

void KTSTR_OPS(ktstr_dispatch, s32 cpu, struct task_struct *prev)
{
	end_if_due();
	if (starve_every_ns) {
		u64 now = bpf_ktime_get_ns();

		if (now - starved_turn_ns >= starve_every_ns) {
			if (move_to_local(STARVED)) {
				starved_turn_ns = now;
				return;
			}
			/* It may be pinned to a CPU that nobody wakes. */
			if (ignore_pinned && cpu != ignore_cpu)
				scx_bpf_kick_cpu(ignore_cpu, SCX_KICK_IDLE);
		}
	}
	if (ignore_cpu >= 0 && cpu == ignore_cpu) {
		if (prev && only_on_ignored(prev) && !(ignore_pinned && !(prev->flags & PF_KTHREAD)))
			set_slice(prev, slice_ns);
		return;
	}
	if (slow_dispatch_ns && scx_bpf_dsq_nr_queued(SHARED) > 0)
		spin(slow_dispatch_ns);
	if (move_to_local(SHARED))
		return;
	/* Nobody else waits: it stays, unless a fault forbids it. */
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED) && !keep_last && !is_starved(prev) && !is_held(prev))
		set_slice(prev, turn_ns());
}

/* With these two the kernel leaves a scheduler alone when CPUs come and go. */
void KTSTR_OPS(ktstr_cpu_online, s32 cpu)
{
}

void KTSTR_OPS(ktstr_cpu_offline, s32 cpu)
{
}

s32 KTSTR_OPS_SLEEPABLE(ktstr_init)
{
	u64 queue;
	s32 err;

	began_ns = bpf_ktime_get_ns();
	starved_turn_ns = began_ns;
	for (queue = SHARED; queue <= LOST; queue++) {
		err = scx_bpf_create_dsq(queue, -1);
		if (err)
			return err;
	}
	return 0;
}

void KTSTR_OPS(ktstr_exit, struct scx_exit_info *ei)
{
	bpf_probe_read_kernel_str(exit_reason, sizeof(exit_reason), ei->reason);
	bpf_probe_read_kernel_str(exit_message, sizeof(exit_message), ei->msg);
	exit_code = ei->exit_code;
	/* Last, and with a barrier: the other half reads the rest when this is set. */
	__sync_val_compare_and_swap(&exit_kind, 0, ei->kind);
}

SEC(".struct_ops.link")
struct sched_ext_ops ktstr_ops = {
	.select_cpu = (void *)ktstr_select_cpu,
	.enqueue = (void *)ktstr_enqueue,
	.dispatch = (void *)ktstr_dispatch,
	.cpu_online = (void *)ktstr_cpu_online,
	.cpu_offline = (void *)ktstr_cpu_offline,
	.init = (void *)ktstr_init,
	.exit = (void *)ktstr_exit,
	.flags = SCX_OPS_ENQ_LAST,
	.name = "ktstr",
};
