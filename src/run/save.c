/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Going on where another process stopped. What is saved is what training has made of the table and what it
 * knows besides; never a key or where a stream stands (P8): who goes on draws anew, and is charged anew.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/figures.h"
#include "run/train.h"

static const size_t most_bytes = (size_t)1 << 34;
static const double every_seconds = 10.0;      /* at most, where the config says auto */
static const double share_of_training = 0.002; /* that saving may take, then */

static char *path_of(const struct training *training, const char *name)
{
    char inner[64];
    (void)snprintf(inner, sizeof inner, "private/checkpoint/%s", name);
    return sotto_path_join(training->directory.path, inner);
}

static sotto_status no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a checkpoint");
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

/* ------------------------------------------------------------------- facts */

/* What a checkpoint of this run says of itself. */
static sotto_checkpoint_facts facts_of(const struct training *training, sotto_checkpoint_kind kind)
{
    const sotto_ledger_head head = sotto_ledger_last(training->ledger);
    sotto_checkpoint_facts facts = {.kind = kind, .step = training->record.steps_taken, .head = head};
    if (training->ledger_run)
        facts.attempt = sotto_ledger_run_attempt(training->ledger_run);
    copy_text(facts.run, sizeof facts.run, training->identity.run);
    copy_text(facts.config_sha256, sizeof facts.config_sha256, training->identity.config);
    copy_text(facts.schema_sha256, sizeof facts.schema_sha256, training->plan.schema_sha256);
    copy_text(facts.table_sha256, sizeof facts.table_sha256, sotto_table_sha256(training->table));
    copy_text(facts.not_private, sizeof facts.not_private,
              training->identity.private ? "" : SOTTO_NOT_PRIVATE);
    return facts;
}

/* Of this run, this config and this table, and is the ledger not older than it? */
static sotto_status check_facts(const struct training *training, const char *path,
                                const sotto_checkpoint_facts *found, sotto_error *err)
{
    const sotto_checkpoint_facts wanted = facts_of(training, found->kind);
    const struct {
        const char *what, *found, *wanted;
    } texts[] = {{"another run", found->run, wanted.run},
                 {"another config or another version of sotto", found->config_sha256, wanted.config_sha256},
                 {"another schema", found->schema_sha256, wanted.schema_sha256},
                 {"another table, or one that was changed since", found->table_sha256, wanted.table_sha256},
                 {"another kind of noise", found->not_private, wanted.not_private}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].found, texts[i].wanted) != 0)
            return sotto_error_set_at(
                err, SOTTO_ERROR_INPUT, path, 0, 0,
                "this checkpoint is of %s, so the run cannot be gone on with; put it back, "
                "or begin another run",
                texts[i].what);
    return found->step <= training->plan.training.steps
               ? sotto_ledger_expect(training->ledger, &found->head, path, err)
               : sotto_error_set_at(err, SOTTO_ERROR_INPUT, path, 0, 0,
                                    "this checkpoint is of a later step than the run has");
}

/* ------------------------------------------------------------------- state */

static void visit_steps(sotto_training_record *record, size_t room, sotto_state *state)
{
    sotto_state_size(state, "recorded steps", &record->step_count, 0, room);
    for (size_t i = 0; i < record->step_count && sotto_state_is_sound(state); i++) {
        sotto_step_record *one = &record->steps[i];
        uint64_t counts[] = {one->step, one->seen.batch, one->seen.clipped, one->seen.non_finite,
                             one->losses.discriminator_steps};
        double losses[] = {one->losses.real, one->losses.fake, one->losses.generator};
        sotto_state_u64s(state, "counts", counts, sizeof counts / sizeof *counts);
        sotto_state_doubles(state, "losses", losses, sizeof losses / sizeof *losses);
        *one = (sotto_step_record){.step = counts[0],
                                   .seen = {counts[1], counts[2], counts[3]},
                                   .losses = {losses[0], losses[1], losses[2], counts[4]}};
    }
}

static void visit_looks(sotto_training_record *record, size_t room, sotto_state *state)
{
    sotto_state_size(state, "looks", &record->health_count, 0, room);
    for (size_t i = 0; i < record->health_count && sotto_state_is_sound(state); i++) {
        sotto_model_health *one = &record->health[i];
        double figures[] = {one->parameters, one->entropy, one->wanted_entropy, one->distance, one->distinct};
        sotto_state_u64s(state, "step", &one->step, 1);
        sotto_state_doubles(state, "figures", figures, sizeof figures / sizeof *figures);
        *one = (sotto_model_health){one->step, figures[0], figures[1], figures[2], figures[3], figures[4]};
    }
}

/* All of a training that another process needs, in both directions. */
static void visit(struct training *training, sotto_state *state)
{
    sotto_training_record *record = &training->record;
    sotto_state_object(state, "training");
    sotto_state_u64(state, "steps taken", &record->steps_taken, 0, training->plan.training.steps);
    visit_steps(record, training->step_room, state);
    visit_looks(record, training->look_room, state);
    sotto_model_state(training->plan.model, state);
    if (training->step)
        sotto_dpsgd_state(training->step, state);
    if (training->parts)
        sotto_parts_state(training->parts, state);
    if (training->health)
        sotto_health_state(training->health, state);
    if (training->plan.figures)
        sotto_figures_state(training->plan.figures, state);
}

/* ------------------------------------------------------------------ saving */

sotto_status sotto_training_save(struct training *training, sotto_error *err)
{
    const double start = sotto_seconds();
    const sotto_checkpoint_facts facts = facts_of(training, SOTTO_CHECKPOINT_STATE);
    sotto_state *state = NULL;
    char *path = path_of(training, "state");
    sotto_status status = path ? sotto_state_create_writer(&state, err) : no_memory(err);
    if (status == SOTTO_OK) {
        visit(training, state);
        status = sotto_checkpoint_write(path, &facts, state, err);
    }
    sotto_state_destroy(state);
    free(path);
    training->saved_at = sotto_seconds();
    training->saving_took = training->saved_at - start;
    if (status == SOTTO_OK) {
        training->saved_step = training->record.steps_taken;
        training->can_go_on = true;
    }
    return status;
}

bool sotto_training_is_to_be_saved(const struct training *training)
{
    const uint64_t every = training->config.checkpoint;
    if (every > 0)
        return training->record.steps_taken - training->saved_step >= every;
    const double waited = sotto_seconds() - training->saved_at;
    return waited >= every_seconds && waited * share_of_training >= training->saving_took;
}

/* ----------------------------------------------------------------- reading */

/* Read one of the two files and hold it against the run; nothing where it is not there. */
static sotto_status read_file(const struct training *training, const char *name, sotto_checkpoint_kind kind,
                              sotto_checkpoint *checkpoint, sotto_error *err)
{
    char *path = path_of(training, name);
    sotto_status status = path ? SOTTO_OK : no_memory(err);
    if (path) /* the run's lock is held */
        sotto_atomic_file_clear(path);
    if (status == SOTTO_OK && access(path, F_OK) == 0) {
        status = sotto_checkpoint_read(checkpoint, path, kind, most_bytes, err);
        if (status == SOTTO_OK)
            status = check_facts(training, path, &checkpoint->facts, err);
    }
    free(path);
    return status;
}

sotto_status sotto_training_look_for_checkpoint(struct training *training, sotto_error *err)
{
    const sotto_status status =
        read_file(training, "state", SOTTO_CHECKPOINT_STATE, &training->checkpoint, err);
    training->can_go_on = status == SOTTO_OK && training->checkpoint.state;
    return status;
}

sotto_status sotto_training_restore(struct training *training, sotto_error *err)
{
    sotto_state *state = training->checkpoint.state;
    if (!state)
        return SOTTO_OK;
    visit(training, state);
    const sotto_status status = sotto_state_end(state, err);
    if (status != SOTTO_OK)
        return status;
    training->restored = true;
    training->saved_at = sotto_seconds();
    training->saved_step = training->record.steps_taken;
    sotto_run_log(&training->directory, "attempt %llu goes on after step %llu of %llu",
                  (unsigned long long)training->record.attempts,
                  (unsigned long long)training->record.steps_taken,
                  (unsigned long long)training->plan.training.steps);
    return training->record.steps_taken == training->checkpoint.facts.step
               ? SOTTO_OK
               : sotto_error_set_at(err, SOTTO_ERROR_INPUT, training->directory.path, 0, 0,
                                    "the checkpoint does not agree with itself which step it is of");
}

/* ------------------------------------------------------------------- split */

static void visit_split(struct training *training, sotto_state *state)
{
    sotto_split_state(&training->split, training->table, training->plan.unit_column,
                      training->config.max_rows_per_unit, state);
}

sotto_status sotto_training_save_split(struct training *training, sotto_error *err)
{
    const sotto_checkpoint_facts facts = facts_of(training, SOTTO_CHECKPOINT_SPLIT);
    sotto_state *state = NULL;
    char *path = path_of(training, "split");
    sotto_status status = path ? sotto_state_create_writer(&state, err) : no_memory(err);
    if (status == SOTTO_OK) {
        visit_split(training, state);
        status = sotto_checkpoint_write(path, &facts, state, err);
    }
    sotto_state_destroy(state);
    free(path);
    return status;
}

sotto_status sotto_training_restore_split(struct training *training, bool *found, sotto_error *err)
{
    sotto_checkpoint file = {0};
    sotto_status status = read_file(training, "split", SOTTO_CHECKPOINT_SPLIT, &file, err);
    *found = status == SOTTO_OK && file.state;
    if (*found) {
        visit_split(training, file.state);
        status = sotto_state_end(file.state, err);
    } else if (status == SOTTO_OK && training->checkpoint.state) {
        status =
            sotto_error_set_at(err, SOTTO_ERROR_INPUT, training->directory.path, 0, 0,
                               "private/checkpoint/split is missing, so who is held out is not known any "
                               "more; the run cannot be gone on with");
    }
    sotto_checkpoint_destroy(&file);
    return status;
}
