/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * The true ε falls in no number of uses: to leave out a release is to look at less of them. So whatever lies,
 * count by count, within a composition that was found to keep a target keeps it, and whatever lies above one
 * that was found not to does not. What ε is computed to be may waver in its last digits and say otherwise; no
 * promise hangs on that.
 *
 * The composition that is known to keep the target, the cover, is grown beyond what was asked for: by twice
 * what was charged since it last grew, in the same mixture; where that was too much, the next time by half of
 * it, and half of the half, until it succeeds or nothing is left. A loop in which mechanisms take turns asks
 * for a number of evaluations in the order of the logarithm of its length.
 */

void accountant_cover_free(accountant_cover *cover)
{
    for (size_t i = 0; i < cover->length; i++)
        accountant_mechanism_release(&cover->lines[i].mechanism);
    free(cover->lines);
    *cover = (accountant_cover){0};
}

static sotto_status reserve(accountant_cover *cover, sotto_error *err)
{
    if (cover->length < cover->capacity)
        return SOTTO_OK;
    const size_t capacity = cover->capacity ? 2 * cover->capacity : 4;
    accountant_cover_line *lines = NULL;
    if (capacity <= SIZE_MAX / sizeof *lines)
        lines = realloc(cover->lines, capacity * sizeof *lines);
    if (!lines)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a budget of %zu mechanisms",
                               capacity);
    cover->lines = lines;
    cover->capacity = capacity;
    return SOTTO_OK;
}

/* Where a mechanism's line is, or would go. */
static size_t place_of(const accountant_cover *cover, const sotto_mechanism *mechanism, bool *found)
{
    *found = false;
    size_t place = 0;
    for (; place < cover->length && !*found; place++) {
        const int order = accountant_mechanism_compare(&cover->lines[place].mechanism, mechanism);
        if (order > 0)
            break;
        *found = order == 0;
    }
    return *found ? place - 1 : place;
}

/* At most one line is of a mechanism that was not charged: who asks for many leaves nothing behind. */
static void drop_uncharged(accountant_cover *cover)
{
    size_t place = 0;
    while (place < cover->length && cover->lines[place].charged > 0)
        place++;
    if (place == cover->length)
        return;
    accountant_mechanism_release(&cover->lines[place].mechanism);
    cover->length--;
    memmove(cover->lines + place, cover->lines + place + 1, (cover->length - place) * sizeof *cover->lines);
}

sotto_status accountant_cover_line_of(accountant_cover *cover, const sotto_mechanism *mechanism,
                                      accountant_cover_line **line, sotto_error *err)
{
    bool found;
    size_t place = place_of(cover, mechanism, &found);
    if (!found) {
        sotto_mechanism owned = *mechanism;
        sotto_status status = reserve(cover, err);
        if (status == SOTTO_OK)
            status = accountant_mechanism_own(&owned, err);
        if (status != SOTTO_OK)
            return status;
        drop_uncharged(cover);
        place = place_of(cover, mechanism, &found);
        memmove(cover->lines + place + 1, cover->lines + place,
                (cover->length - place) * sizeof *cover->lines);
        cover->lines[place] = (accountant_cover_line){.mechanism = owned};
        cover->length++;
    }
    *line = &cover->lines[place];
    return SOTTO_OK;
}

/* The uses of a line's mechanism in the composition that is asked about. */
static uint64_t wanted(const accountant_cover_line *line, const accountant_cover_line *asked, uint64_t count)
{
    return line->charged + (line == asked ? count : 0);
}

static bool is_covered(const accountant_cover *cover, const accountant_cover_line *asked, uint64_t count)
{
    for (const accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++)
        if (wanted(line, asked, count) > line->covered)
            return false;
    return true;
}

bool accountant_cover_knows(const accountant_cover *cover, const accountant_cover_line *line, uint64_t count,
                            bool *allowed)
{
    const bool refused = count > SOTTO_ACCOUNTANT_MAX_COUNT - line->charged ||
                         (line->refused && line->charged + count >= line->refused);
    *allowed = count == 0 || (!refused && is_covered(cover, line, count));
    return *allowed || refused;
}

bool accountant_cover_is_streak(const accountant_cover *cover, const accountant_cover_line *asked)
{
    for (const accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++)
        if ((line->charged > line->base) != (line == asked))
            return false;
    return true;
}

uint64_t accountant_cover_room(const accountant_cover *cover, const accountant_cover_line *line)
{
    return is_covered(cover, line, 0) ? line->covered - line->charged : 0;
}

void accountant_cover_extend(accountant_cover *cover, accountant_cover_line *asked, uint64_t count)
{
    for (accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++)
        line->covered = wanted(line, asked, count);
}

/* What the next growth adds to a line. */
static uint64_t growth(const accountant_cover *cover, const accountant_cover_line *line, uint64_t uses)
{
    return (uint64_t)(cover->factor * (double)(uses - line->base));
}

/* The uses of a line's mechanism in a composition to try: as they are wanted, or the cover's and more. */
static uint64_t tried(const accountant_cover *cover, const accountant_cover_line *line, uint64_t uses,
                      bool grown)
{
    if (!grown)
        return uses;
    const uint64_t most = SOTTO_ACCOUNTANT_MAX_COUNT, least = uses > line->covered ? uses : line->covered,
                   more = growth(cover, line, uses);
    return more < most - least ? least + more : most;
}

/* Make a composition the cover, if it keeps the target. */
static sotto_status try(accountant_cover *cover, const accountant_cover_line *asked, uint64_t count,
                        bool grown, accountant_judge judge, const void *context, bool *keeps,
                        sotto_error *err)
{
    sotto_accountant composition = {.uses = calloc(cover->length, sizeof *composition.uses)};
    if (!composition.uses)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for an accountant of %zu mechanisms",
                               cover->length);
    for (const accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++) {
        const uint64_t uses = tried(cover, line, wanted(line, asked, count), grown);
        if (uses > 0)
            composition.uses[composition.length++] = (struct accountant_use){line->mechanism, uses};
    }
    const sotto_status status = judge(&composition, context, keeps, err);
    free(composition.uses);
    *keeps = *keeps && status == SOTTO_OK;
    for (accountant_cover_line *line = cover->lines; *keeps && line < cover->lines + cover->length; line++)
        line->covered = tried(cover, line, wanted(line, asked, count), grown);
    return status;
}

/* The next growth is by twice what will have been charged from here on. */
static void begin(accountant_cover *cover)
{
    cover->factor = 2.0;
    for (accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++)
        line->base = line->charged;
}

sotto_status accountant_cover_ask(accountant_cover *cover, accountant_cover_line *asked, uint64_t count,
                                  accountant_judge judge, const void *context, bool *allowed,
                                  sotto_error *err)
{
    bool grows = false, larger = false;
    for (const accountant_cover_line *line = cover->lines; line < cover->lines + cover->length; line++) {
        const uint64_t uses = wanted(line, asked, count);
        grows = grows || growth(cover, line, uses) > 0;
        larger = larger || tried(cover, line, uses, true) > uses;
    }
    bool keeps = false;
    sotto_status status = SOTTO_OK;
    if (larger) /* where this fails for want of memory, the other one may not */
        (void)try(cover, asked, count, true, judge, context, &keeps, NULL);
    const bool too_large = grows && !keeps;
    if (!keeps)
        status = try(cover, asked, count, false, judge, context, &keeps, err);
    *allowed = keeps;
    if (status != SOTTO_OK)
        return status;
    if (!keeps)
        asked->refused = asked->charged + count;
    else if (too_large)
        cover->factor *= 0.5;
    else
        begin(cover);
    return SOTTO_OK;
}
