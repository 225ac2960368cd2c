/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char help[] =
    "Usage: sotto plan CONFIG [--set KEY=VALUE]... [OPTIONS]\n"
    "\n"
    "Shows what training by CONFIG would do and cost: the noise and its arithmetic, the clipping, the steps,\n"
    "ε as they go, the time, and how much of the signal the noise leaves. It reads the config and the schema\n"
    "and never opens the table, so it costs no privacy and may be run as often as you like. Of a config with a\n"
    "section `sweep` it shows what all the runs would cost together.\n"
    "\n"
    "Options:\n"
    "  --set KEY=VALUE   override a setting of the config; may be given again\n"
    "  --output DIR      plan for this run directory instead of the config's\n"
    "  --threads N       plan for N threads; without it, for as many as the machine has\n"
    "  --json            print the plan as JSON\n"
    "  --quiet           print nothing but warnings and errors: is the config sound?\n"
    "\n"
    "Example:\n"
    "  sotto plan adult.yaml --set privacy.epsilon=3\n";

/* A figure that is no privacy promise, to four digits. */
static const char *brief(double value, char text[SOTTO_FIGURE_SIZE])
{
    (void)snprintf(text, SOTTO_FIGURE_SIZE, "%.4g", value);
    return text;
}

static void print_arithmetic(const json_t *plan)
{
    char part[SOTTO_FIGURE_SIZE];
    const double noise = sotto_cli_member(json_object_get(plan, "delta_shares"), "noise");
    sotto_figure_up(noise, 2, part);
    if (noise > 0)
        (void)printf("  arithmetic  exact: integers throughout; %s of δ is for drawing noise on a grid\n",
                     part);
    else
        (void)printf(
            "  arithmetic  float: 32-bit sums and noise, whose last bits the proof does not cover\n");
}

static bool takes_steps(const json_t *plan)
{
    return json_object_get(plan, "sample_rate") != NULL;
}

static void print_clipping(const json_t *plan)
{
    const char *kind = sotto_cli_text(plan, "clipping");
    char noise[SOTTO_FIGURE_SIZE];
    sotto_figure_up(sotto_cli_member(plan, "gradient_noise_multiplier"), 6, noise);
    if (strcmp(kind, "adaptive") == 0)
        (void)printf(
            "  clipping    adaptive, from C on; its count shares the noise: σ = %s for the gradient\n",
            noise);
    else
        (void)printf("  clipping    %s\n", kind);
}

static bool by_row(const json_t *plan)
{
    return json_object_get(plan, "max_rows_per_unit") == NULL;
}

static void print_unit(const json_t *plan)
{
    if (by_row(plan))
        return;
    (void)fputs("  unit        all rows with one value of ", stdout);
    sotto_text_put(stdout, sotto_cli_text(plan, "unit"), false);
    (void)printf(", of which at most %.0f are read: %.0f units\n",
                 sotto_cli_member(plan, "max_rows_per_unit"), sotto_cli_member(plan, "units"));
}

static void print_privacy(const json_t *plan)
{
    char a[SOTTO_FIGURE_SIZE], b[SOTTO_FIGURE_SIZE];
    const char *noun = by_row(plan) ? "rows" : "units";
    sotto_figure_exact(sotto_cli_member(plan, "target_epsilon"), a);
    sotto_figure_exact(sotto_cli_member(plan, "delta"), b);
    (void)printf("  budget      ε = %s at δ = %s\n", a, b);
    print_unit(plan);
    sotto_figure_up(sotto_cli_member(plan, "epsilon"), 4, a);
    if (!takes_steps(plan)) {
        (void)printf("  cost        ε = %s, all of it for the accesses below; no private steps\n", a);
        print_arithmetic(plan);
        return;
    }
    (void)printf("  cost        ε = %s after all %.0f steps; the budget would bear %.0f\n", a,
                 sotto_cli_member(plan, "steps"), sotto_cli_member(plan, "steps_allowed"));
    sotto_figure_up(sotto_cli_member(plan, "noise_multiplier"), 6, a);
    sotto_figure_exact(sotto_cli_member(plan, "max_grad_norm"), b);
    (void)printf("  noise       σ = %s, times %sthe clipping norm C = %s\n", a,
                 json_object_get(plan, "parts") ? "twice " : "", b);
    print_arithmetic(plan);
    if (json_object_get(plan, "parts")) {
        (void)printf(
            "  parts       %.0f, each with a discriminator of its own; a step is a round, a noisy vector of\n"
            "              %.0f numbers from each; no sampling is claimed\n",
            sotto_cli_member(plan, "parts"), sotto_cli_member(plan, "vector"));
        return;
    }
    print_clipping(plan);
    brief(sotto_cli_member(plan, "sample_rate"), a);
    brief(sotto_cli_member(plan, "expected_batch_size"), b);
    (void)printf(
        "  sampling    each of the %.0f %s for training is in a batch with chance q = %s: %s %s expected\n",
        sotto_cli_member(plan, "expected_batch_size") / sotto_cli_member(plan, "sample_rate"), noun, a, b,
        noun);
}

static void print_releases(const json_t *releases)
{
    (void)printf("\nEach access, and what it would cost alone (costs do not simply add up)\n"
                 "  %10s  %9s  %9s  %9s  access\n",
                 "uses", "σ", "q", "ε"); /* a letter of two bytes: printf pads one column less */
    for (size_t i = 0; i < json_array_size(releases); i++) {
        const json_t *item = json_array_get(releases, i);
        char rate[SOTTO_FIGURE_SIZE], noise[SOTTO_FIGURE_SIZE] = "-", epsilon[SOTTO_FIGURE_SIZE];
        if (json_is_number(json_object_get(item, "noise_multiplier")))
            sotto_figure_up(sotto_cli_member(item, "noise_multiplier"), 4, noise);
        brief(sotto_cli_member(item, "sample_rate"), rate);
        sotto_figure_up(sotto_cli_member(item, "epsilon_alone"), 4, epsilon);
        (void)printf("  %10.0f  %8s  %9s  %8s  ", sotto_cli_member(item, "count"), noise, rate, epsilon);
        sotto_text_put(stdout, sotto_cli_text(item, "name"), false);
        (void)fputs(", ", stdout);
        sotto_text_put(stdout, sotto_cli_text(item, "mechanism"), false);
        (void)putchar('\n');
    }
}

static void print_course(const json_t *plan)
{
    enum { CELLS = 40 };
    const json_t *course = json_object_get(plan, "epsilon_after");
    double target = sotto_cli_member(plan, "target_epsilon");
    (void)printf("\nε as the steps go\n");
    for (size_t i = 0; i < json_array_size(course); i++) {
        const json_t *item = json_array_get(course, i);
        double epsilon = sotto_cli_member(item, "epsilon");
        char text[SOTTO_FIGURE_SIZE];
        sotto_figure_up(epsilon, 4, text);
        (void)printf("  %10.0f  %8s  ", sotto_cli_member(item, "step"), text);
        int cells = target > 0 ? (int)lround(fmax(0, fmin(CELLS, CELLS * epsilon / target))) : 0;
        for (int c = 0; c < cells; c++)
            (void)putchar('#');
        (void)putchar('\n');
    }
}

static const char *meaning(double signal_to_noise)
{
    if (signal_to_noise >= 1)
        return "strong: where all rows of a batch agree, one step alone shows it through the noise";
    if (signal_to_noise >= 0.2)
        return "usable: a trend shows through the noise once some steps have been averaged";
    if (signal_to_noise >= 0.02)
        return "weak: the noise leads; a larger batch, a larger ε or a smaller network would help";
    return "very weak: the noise drowns what the rows say; raise batch size or ε, or shrink the network";
}

static void print_outlook(const json_t *plan)
{
    char total[SOTTO_FIGURE_SIZE], step[SOTTO_FIGURE_SIZE], ratio[SOTTO_FIGURE_SIZE];
    const json_t *parameters = json_object_get(plan, "parameters");
    double signal = sotto_cli_member(plan, "signal_to_noise");
    if (!takes_steps(plan)) {
        (void)printf("\nOutlook\n  parameters  %.0f in the model\n",
                     sotto_cli_member(parameters, "generator"));
        return;
    }
    sotto_figure_seconds(sotto_cli_member(plan, "expected_seconds"), total);
    (void)printf("\nOutlook\n  parameters  %.0f trained on noisy gradients, %.0f in the released model\n",
                 sotto_cli_member(parameters, "private"), sotto_cli_member(parameters, "generator"));
    (void)printf("  time        about %s, %s s a step\n", total,
                 brief(sotto_cli_member(plan, "seconds_per_step"), step));
    (void)printf("  signal      at best %s times the noise of a step\n              %s\n",
                 brief(signal, ratio), meaning(signal));
}

static void print_plan(const json_t *plan)
{
    (void)fputs("Plan for ", stdout);
    sotto_text_put(stdout, sotto_cli_text(plan, "config"), false);
    (void)fputs("\n\nPrivacy\n", stdout);
    print_privacy(plan);
    print_releases(json_object_get(plan, "releases"));
    if (takes_steps(plan))
        print_course(plan);
    print_outlook(plan);
}

/* ------------------------------------------------------------------------- a sweep */

static void print_settings(const json_t *settings)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)settings, key, value)
    {
        char text[SOTTO_FIGURE_SIZE];
        (void)fputs(first ? "" : ", ", stdout);
        sotto_text_put(stdout, key, false);
        (void)fputs(" = ", stdout);
        if (json_is_number(value))
            (void)fputs(brief(json_number_value(value), text), stdout);
        else
            sotto_text_put(stdout, json_string_value(value), false);
        first = false;
    }
}

static void print_sweep(const json_t *plan)
{
    const json_t *privacy = json_object_get(plan, "privacy"), *list = json_object_get(plan, "combinations");
    const json_t *random = json_object_get(privacy, "best_of_random");
    const json_t *budget = json_object_get(privacy, "budget");
    char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE], noise[SOTTO_FIGURE_SIZE];
    (void)fputs("Plan for the sweep ", stdout);
    sotto_text_put(stdout, sotto_cli_text(plan, "config"), false);
    (void)printf("\n\n%.0f runs: %zu combinations, %.0f of each\n  %8s  %8s  %8s  settings\n",
                 sotto_cli_member(plan, "runs"), json_array_size(list), sotto_cli_member(plan, "repeats"),
                 "steps", "σ", "ε");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        sotto_figure_up(sotto_cli_member(one, "epsilon"), 4, epsilon);
        (void)snprintf(noise, sizeof noise, "-");
        if (json_is_number(json_object_get(one, "noise_multiplier")))
            sotto_figure_up(sotto_cli_member(one, "noise_multiplier"), 4, noise);
        (void)printf("  %8.0f  %7s  %7s  ", sotto_cli_member(one, "steps"), noise, epsilon);
        print_settings(json_object_get(one, "settings"));
        (void)putchar('\n');
    }
    sotto_figure_exact(sotto_cli_member(plan, "delta"), delta);
    (void)printf("\nPrivacy, at δ = %s\n", delta);
    sotto_figure_up(sotto_cli_member(privacy, "all"), 4, epsilon);
    (void)printf("  all runs together  ε = %s: covers whoever chooses among them\n", epsilon);
    if (json_is_number(json_object_get(random, "epsilon"))) {
        sotto_figure_up(sotto_cli_member(random, "epsilon"), 4, epsilon);
        (void)printf("  instead            ε = %s, were a %s number of runs drawn, %.0f on average,\n"
                     "                     with random settings, and the best alone released\n",
                     epsilon, sotto_cli_text(random, "distribution"), sotto_cli_member(random, "mean_runs"));
    }
    if (json_is_object(budget)) {
        sotto_figure_exact(sotto_cli_member(budget, "epsilon"), epsilon);
        (void)printf("  the sweep's budget ε = %s%s\n", epsilon,
                     sotto_cli_member(privacy, "all") <= sotto_cli_member(budget, "epsilon")
                         ? ""
                         : ": the sweep would be refused");
    }
}

static int report(const char *json, bool as_json, bool quiet)
{
    sotto_error err = {0};
    json_t *plan = sotto_cli_record(json, &err);
    if (!plan)
        return sotto_cli_fail(&err);
    if (as_json)
        sotto_cli_print_json(plan);
    else if (!quiet && json_object_get(plan, "combinations"))
        print_sweep(plan);
    else if (!quiet)
        print_plan(plan);
    (void)fflush(stdout); /* warnings come last on a terminal */
    sotto_cli_warn(plan);
    json_decref(plan);
    return sotto_cli_finish();
}

int sotto_command_plan(int argc, char **argv)
{
    static const char *const names[] = {"CONFIG"};
    sotto_run_options run = {0};
    sotto_list settings = {0};
    uint64_t threads = 0;
    bool as_json = false, quiet = false;
    sotto_option options[] = {
        {.name = "set", .kind = SOTTO_OPTION_LIST, .value = &settings},
        {.name = "output", .kind = SOTTO_OPTION_TEXT, .value = &run.output},
        {.name = "threads", .kind = SOTTO_OPTION_COUNT, .value = &threads, .low = 1, .high = 1024},
        {.name = "json", .kind = SOTTO_OPTION_FLAG, .value = &as_json},
        {.name = "quiet", .kind = SOTTO_OPTION_FLAG, .value = &quiet},
    };
    sotto_usage usage = {"plan", help, options, sizeof options / sizeof *options, names, 1, 1};
    int ended = sotto_cli_parse(&usage, argc, argv, &run.config);
    if (ended == SOTTO_CLI_GO_ON) {
        sotto_error err = {0};
        char *json = NULL;
        run.settings = settings.items;
        run.setting_count = settings.count;
        run.threads = (unsigned)threads;
        sotto_cli_guard_keys();
        ended = sotto_run_plan(&run, &json, &err) == SOTTO_OK ? report(json, as_json, quiet)
                                                              : sotto_cli_fail(&err);
        free(json);
    }
    sotto_cli_release(&usage);
    return ended;
}
