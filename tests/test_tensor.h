/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_TENSOR_H
#define TEST_TENSOR_H

#include "tensor/tensor.h"

#include "test_numbers.h"

/* test_tensor_elementary.c */
TCase *elementary_tests(void);

#endif
