// What each finding means, with a real run that has it. The rules are in docs/findings.md.
import bothLossesVanish from "../../../docs/images/findings/both-losses-vanish.png";
import deceptiveLoss from "../../../docs/images/findings/deceptive-loss.png";
import discriminatorInert from "../../../docs/images/findings/discriminator-inert.png";
import discriminatorWins from "../../../docs/images/findings/discriminator-wins.png";
import divergence from "../../../docs/images/findings/divergence.png";
import explodingGradients from "../../../docs/images/findings/exploding-gradients.png";
import healthy from "../../../docs/images/findings/healthy.png";
import memorisation from "../../../docs/images/findings/memorisation.png";
import modeCollapse from "../../../docs/images/findings/mode-collapse.png";
import noEquilibrium from "../../../docs/images/findings/no-equilibrium.png";
import oscillation from "../../../docs/images/findings/oscillation.png";
import slowConvergence from "../../../docs/images/findings/slow-convergence.png";
import stalled from "../../../docs/images/findings/stalled.png";
import vanishingGradients from "../../../docs/images/findings/vanishing-gradients.png";
import type { Label } from "../api/types";

export interface Meaning {
  says: string;
  helps: string;
  picture: string;
}

/** In the order in which a verdict takes them: causes before symptoms. */
export const MEANINGS: Record<Label["finding"], Meaning> = {
  healthy: {
    says: "Losses in their band, and samples of every kind.",
    helps: "Nothing has to change.",
    picture: healthy,
  },
  divergence: {
    says: "Losses or gradients are not finite, or huge: the weights have blown up.",
    helps: "Adam with a first beta of .5, a tenth of the learning rate, gradient clipping.",
    picture: divergence,
  },
  "convergence failure: both losses vanish": {
    says: "The discriminator tells every fake, and the generator's loss is low all the same. Its two updates have not seen the same fakes.",
    helps: "Reals and fakes in batches of their own, so that they do not share the statistics of a batch norm.",
    picture: bothLossesVanish,
  },
  "convergence failure: discriminator wins": {
    says: "The discriminator is always right, and its gradient tells the generator nothing. The samples stay hopeless.",
    helps: "Separate batches, the usual Adam, fewer discriminator steps, an R1 penalty, a slower discriminator.",
    picture: discriminatorWins,
  },
  "convergence failure: discriminator inert": {
    says: "The discriminator calls everything real, or everything fake: it has stopped learning, or never began.",
    helps: "A lower learning rate, the usual settings.",
    picture: discriminatorInert,
  },
  "exploding gradients": {
    says: "The generator's gradient is thousands of times that of its first updates.",
    helps: "A penalty that bounds the critic, gradient clipping, a lower learning rate.",
    picture: explodingGradients,
  },
  "vanishing gradients": {
    says: "The generator's gradient is less than a thousandth of that of its first updates, and the samples are poor.",
    helps: "A loss that does not saturate, a slower discriminator.",
    picture: vanishingGradients,
  },
  "convergence failure: no equilibrium": {
    says: "The discriminator is far ahead without winning outright; the generator's loss is high, and quality does not come.",
    helps: "A first beta of .5 in place of .9, the usual settings.",
    picture: noEquilibrium,
  },
  "mode collapse": {
    says: "The same few samples again and again, or a part of the data that is never made. The losses may look as good as any.",
    helps: "A larger latent, the usual Adam, a discriminator as fast as the generator, packing.",
    picture: modeCollapse,
  },
  memorisation: {
    says: "The fakes are the training data. NDB, precision and coverage call that perfect.",
    helps: "All of the data where a limit leaves some out; augmentation.",
    picture: memorisation,
  },
  oscillation: {
    says: "The two networks chase each other: the generator's loss swings with one period.",
    helps: "Lower learning rates, a first beta of .5, a moving average of the weights.",
    picture: oscillation,
  },
  "deceptive loss": {
    says: "Curves as in a textbook, samples that are not.",
    helps: "A discriminator that learns as fast as the generator.",
    picture: deceptiveLoss,
  },
  stalled: {
    says: "At the end the samples are poor, and no better than a third of the run before.",
    helps: "The usual settings, larger networks.",
    picture: stalled,
  },
  "slow convergence": {
    says: "The samples still become better at the end: the run is healthy so far, and not finished.",
    helps: "More epochs: extend the run.",
    picture: slowConvergence,
  },
};
