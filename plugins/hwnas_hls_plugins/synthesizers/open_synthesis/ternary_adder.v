`timescale 1ns / 1ps

// A sum of three numbers in one LUT a bit and one carry chain, as slices of AMD's 7 series and UltraScale
// parts have them. Each LUT6_2 gives the sum bit of its three operands with what the bit below carries over
// (O6), and the majority of the three (O5), which the bit above takes. Takes the place of alkaid's module of the
// same name, whose parameters and ports it has: terms (-1)**NEGATE x in << PAD, the lowest DROP_LSBS bits of the
// sum dropped.
module ternary_adder #(
    parameter BW_INPUT0 = 8, parameter SIGNED0 = 0, parameter NEGATE0 = 0, parameter PAD0 = 0,
    parameter BW_INPUT1 = 8, parameter SIGNED1 = 0, parameter NEGATE1 = 0, parameter PAD1 = 0,
    parameter BW_INPUT2 = 8, parameter SIGNED2 = 0, parameter NEGATE2 = 0, parameter PAD2 = 0,
    parameter BW_OUT = 8, parameter DROP_LSBS = 0
) (
    input [BW_INPUT0-1:0] in0,
    input [BW_INPUT1-1:0] in1,
    input [BW_INPUT2-1:0] in2,
    output [BW_OUT-1:0] out
);
  function integer smaller(input integer a, input integer b);
    smaller = a < b ? a : b;
  endfunction

  // Bits that matter; those above would only be dropped.
  localparam TOP = BW_OUT + DROP_LSBS;
  localparam LOWEST = smaller(smaller(PAD0, PAD1), PAD2);
  localparam ALONE = (PAD0 == LOWEST) + (PAD1 == LOWEST) + (PAD2 == LOWEST) == 1;
  localparam WHO = PAD0 == LOWEST ? 0 : PAD1 == LOWEST ? 1 : 2;
  localparam PLAIN = WHO == 0 ? !NEGATE0 : WHO == 1 ? !NEGATE1 : !NEGATE2;
  localparam SECOND = WHO == 0 ? smaller(PAD1, PAD2) : WHO == 1 ? smaller(PAD0, PAD2) : smaller(PAD0, PAD1);
  // Below the first bit that two operands share, the one that reaches deepest is copied.
  localparam COPIED = ALONE && PLAIN ? smaller(SECOND, TOP) : smaller(LOWEST, TOP);
  localparam BITS = TOP - COPIED;
  localparam CHAINS = (BITS + 3) / 4;
  localparam NEGATED = NEGATE0 + NEGATE1 + NEGATE2;

  wire [TOP-1:0] x0, x1, x2, sum;
  genvar i, chain;
  generate
    for (i = 0; i < TOP; i = i + 1) begin : extend
      if (i < PAD0) assign x0[i] = 1'b0;
      else if (i - PAD0 < BW_INPUT0) assign x0[i] = in0[i-PAD0];
      else assign x0[i] = SIGNED0 ? in0[BW_INPUT0-1] : 1'b0;
      if (i < PAD1) assign x1[i] = 1'b0;
      else if (i - PAD1 < BW_INPUT1) assign x1[i] = in1[i-PAD1];
      else assign x1[i] = SIGNED1 ? in1[BW_INPUT1-1] : 1'b0;
      if (i < PAD2) assign x2[i] = 1'b0;
      else if (i - PAD2 < BW_INPUT2) assign x2[i] = in2[i-PAD2];
      else assign x2[i] = SIGNED2 ? in2[BW_INPUT2-1] : 1'b0;
    end
    if (COPIED > 0) begin : copy
      // The others are zero there.
      assign sum[COPIED-1:0] = x0[COPIED-1:0] | x1[COPIED-1:0] | x2[COPIED-1:0];
    end
    if (BITS > 0) begin : add
      // A negated operand is its complement and one more: the first one enters the chain, the second the
      // place of the majority below the lowest bit. Three negated operands do not occur.
      localparam [7:0] XOR = (NEGATED % 2) ? 8'h69 : 8'h96;
      wire [BITS:0] majority;
      wire [4*CHAINS-1:0] select, data, total;
      wire [4*CHAINS:0] carry;
      assign majority[0] = NEGATED >= 2;
      assign carry[0] = 1'b0;
      for (i = 0; i < 4 * CHAINS; i = i + 1) begin : one
        if (i < BITS) begin : used
          LUT6_2 #(
              // Inputs 0 to 2 the operands, 3 the majority below: O6 for I5 = 1, O5 for I5 = 0.
              .INIT({{2{~XOR, XOR}}, {4{majority_of(NEGATE0, NEGATE1, NEGATE2)}}})
          ) lut (
              .I0(x0[COPIED+i]), .I1(x1[COPIED+i]), .I2(x2[COPIED+i]), .I3(majority[i]),
              .I4(1'b0), .I5(1'b1), .O6(select[i]), .O5(majority[i+1])
          );
          assign data[i] = majority[i];
          assign sum[COPIED+i] = total[i];
        end else begin : unused
          assign select[i] = 1'b0;
          assign data[i] = 1'b0;
        end
      end
      for (chain = 0; chain < CHAINS; chain = chain + 1) begin : slice
        CARRY4 carry4 (
            .CI(chain == 0 ? 1'b0 : carry[4*chain]), .CYINIT(chain == 0 ? (NEGATED >= 1) : 1'b0),
            .DI(data[4*chain+:4]), .S(select[4*chain+:4]),
            .O(total[4*chain+:4]), .CO(carry[4*chain+1+:4])
        );
      end
    end
  endgenerate
  assign out = sum[TOP-1:DROP_LSBS];

  // Truth table of the majority of three, each complemented where asked.
  function [7:0] majority_of(input integer n0, input integer n1, input integer n2);
    integer place;
    reg a, b, c;
    for (place = 0; place < 8; place = place + 1) begin
      a = place[0] ^ n0[0];
      b = place[1] ^ n1[0];
      c = place[2] ^ n2[0];
      majority_of[place] = (a & b) | (a & c) | (b & c);
    end
  endfunction
endmodule
