/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/evaluate.h"

void sotto_evaluation_tell(const sotto_evaluation *evaluation, const char *phase, size_t done, size_t total)
{
    if (evaluation->progress)
        evaluation->progress(evaluation->context, phase, done, total);
}

sotto_status sotto_evaluation_stream(const sotto_evaluation *evaluation, sotto_stream **stream,
                                     sotto_error *err)
{
    return sotto_stream_create(stream, evaluation->random, SOTTO_PURPOSE_EVALUATION, err);
}
