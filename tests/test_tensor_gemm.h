/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_TENSOR_GEMM_H
#define TEST_TENSOR_GEMM_H

#include "tensor/gemm.h"

#include "test_numbers.h"

/* test_tensor_integer.c */
TCase *integer_tests(void);

/* test_tensor_check.c */
TCase *check_tests(void);

#endif
