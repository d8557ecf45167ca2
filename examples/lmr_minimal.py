"""LMR (long-tail mixed reconstruction) in a plain training loop, on made-up features of 4 classes.

`lmr.mixed` stands between your backbone and your classifier while you train; when you test, leave
it out. It takes features [clips, width] and class numbers [clips], and gives both mixed.
"""

import torch
import torch.nn.functional as F
from torch import nn

from marey.longtail.lmr import LMR, contributions

torch.manual_seed(0)
counts = torch.tensor([500, 100, 25, 5])  # training clips of each class
backbone, classifier = nn.Linear(64, 32), nn.Linear(32, len(counts))
lmr = LMR(l=0.6, d=0.25, bank=8).build({"label": counts})
optimizer = torch.optim.AdamW([*backbone.parameters(), *classifier.parameters()], lr=1e-3)

centres = torch.randn(len(counts), 64)
for _ in range(200):
    labels = torch.randint(len(counts), (16,))  # every class as often: class-balanced sampling
    clips = centres[labels] + 3 * torch.randn(16, 64)
    features, mixed = lmr.mixed(backbone(clips), {"label": labels})
    loss = F.cross_entropy(classifier(features), mixed["label"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

labels = torch.arange(len(counts)).repeat_interleave(50)
features = backbone(centres[labels] + 3 * torch.randn(200, 64)).detach()
right = classifier(features).argmax(dim=1) == labels
print("accuracy of each class:", right.float().view(-1, 50).mean(dim=1).tolist())
print("the rarest is rebuilt from:", contributions(features, labels, counts <= 20)[3].tolist())
