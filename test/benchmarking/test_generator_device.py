"""Where the time of a call goes."""

from __future__ import annotations

import pytest
import torch

from vmem_ros.benchmarking.flops import count_flops
from vmem_ros.benchmarking.generator_device import MatrixProducts, kind_of, profile_call


def test_profile_finds_the_expensive_kind():
    x = torch.randn(300, 300)
    spent = profile_call("cpu", lambda: [x @ x for _ in range(5)] and torch.relu(x))
    assert next(iter(spent)) == "linear layers"
    assert spent["linear layers"].calls >= 5
    assert spent["linear layers"].largest == "aten::mm"


@pytest.mark.parametrize("flops", [10**6, 10**9])
def test_matrix_products_are_about_as_much_work_as_asked_for(flops):
    products = MatrixProducts("cpu", torch.float32, flops=flops)
    assert products.flops == pytest.approx(flops, rel=0.05)
    assert count_flops(products.run).total == products.flops


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("void flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128>>", "attention"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NTN", "linear layers"),
        ("triton_poi_fused_convolution_native_group_norm_silu_3", "fused by the compiler"),
        ("triton_tem_fused_addmm_2", "linear layers"),
        ("void cudnn::engines_precompiled::nchwToNhwcKernel<float>", "copies"),
        ("aten::native_group_norm", "norms"),
        ("aten::gelu", "element-wise and other"),
    ],
)
def test_kinds_of_work(name, kind):
    assert kind_of(name) == kind
